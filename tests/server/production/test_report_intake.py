"""import_report: every sample, said beforehand and recorded, with both versions of TofuPilot, and read back."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun
from testlab_tools.reports.testlab_run import write_run
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.production.conftest import Factory

SAMPLES = Path(__file__).parents[2] / "samples"
OPENHTF = sorted((SAMPLES / "openhtf_lot").glob("*.json"))
HARDPY = sorted((SAMPLES / "hardpy").glob("*.json"))
JUNIT = SAMPLES / "junit" / "stbt_results_like.xml"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
VERSIONS = pytest.mark.parametrize("version", ["v2", "v1"])
OUTCOMES = {"PASS": "pass", "FAIL": "fail", "ERROR": "error", "TIMEOUT": "error", "ABORTED": "stopped"}


def below(path: Path) -> str:
    return str(path.relative_to(SAMPLES))


def test_there_are_fourteen_reports_of_openhtf_and_two_of_hardpy() -> None:
    assert (len(OPENHTF), len(HARDPY)) == (14, 2)


@VERSIONS
@pytest.mark.parametrize("path", OPENHTF, ids=lambda path: path.stem)
async def test_an_openhtf_report_is_said_and_recorded_alike(
    path: Path, version: str, lot: Factory, connect: Connect, ask: ToolCaller
) -> None:
    report = json.loads(path.read_bytes())
    async with connect(lot.config(version)) as client:
        before = lot.runs_of(report["dut_id"])
        said = await ask(client, "import_report", path=below(path), dry_run=True)
        assert lot.runs_of(report["dut_id"]) == before, "a dry run recorded the run"
        done = await ask(client, "import_report", path=below(path))
    plan, kept = said["plan"], lot.run(done["run_ids"][0])
    phases = [phase for phase in report["phases"] if phase["name"] != "trigger_phase"]
    assert (said["format"], plan["service"], plan["unit"]) == ("openhtf", "factory", report["dut_id"])
    assert (plan["procedure"], plan["part"], plan["batch"]) == ("FVT1", "PCB-100", "LOT-42")
    assert plan["outcome"] == OUTCOMES[report["outcome"]]
    assert sum(case.get("attempts", 1) for case in plan["cases"]) == len(phases) == len(kept["phases"])
    assert [(p["name"], p["outcome"]) for p in kept["phases"]] == [(p["name"], p["outcome"]) for p in phases]
    assert kept["unit"]["serial_number"] == plan["unit"]
    assert kept["started_at"][:19] == plan["started_at"][:19]
    assert (kept["outcome"] == "PASS") == (plan["outcome"] == "pass")
    assert plan["measurements"] == sum(len(phase["measurements"]) for phase in kept["phases"])
    assert plan["attachments"] == ["trace.csv"]
    lossy = "TofuPilot v1 has no outcome error: kept as not passed."
    assert (lossy in said["lost"]) == (version == "v1" and plan["outcome"] == "error")
    assert f"{len(report['log_records'])} log records" in said["lost"]
    assert not any("attachment" in lost for lost in (*said["lost"], *done.get("lost", [])))
    assert [file["name"] for file in kept["attachments"]] == ["trace.csv"]


@VERSIONS
@pytest.mark.parametrize("path", HARDPY, ids=["failed", "passed"])
async def test_a_hardpy_report_is_said_and_recorded_alike(
    path: Path, version: str, lot: Factory, connect: Connect, ask: ToolCaller
) -> None:
    about = {"path": below(path), "procedure_id": "Main board FCT"}
    async with connect(lot.config(version)) as client:
        said = await ask(client, "import_report", **about, dry_run=True)
        done = await ask(client, "import_report", **about)
    plan, kept = said["plan"], lot.run(done["run_ids"][0])
    assert (said["format"], plan["unit"], plan["part"]) == ("hardpy", kept["unit"]["serial_number"], "PCB-100")
    assert [p["name"] for p in kept["phases"]] == [case["case"] for case in plan["cases"]]
    (rail,) = kept["phases"][1]["measurements"]
    assert (rail["name"], rail["units"]) == ("rail_5v", "V")
    assert {v["operator"]: v["expected_value"] for v in rail["validators"]} == {">=": 4.75, "<=": 5.25}
    failing = [m for case in plan["cases"] for m in case.get("measurements", [])]
    if kept["outcome"] == "FAIL":
        assert plan["outcome"] == "fail"
        assert failing == [
            {"name": "rail_5v", "outcome": "fail", "value": 5.31, "units": "V", "lower": 4.75, "upper": 5.25}
        ]
        assert "1 earlier attempt" in said["lost"]
        assert "2 attempts, of which HardPy keeps the last" in plan["notes"]
    else:
        assert (plan["outcome"], kept["outcome"], failing) == ("pass", "PASS", [])


@VERSIONS
async def test_a_junit_report_says_what_it_lacks_and_is_recorded_with_it(
    version: str, lot: Factory, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    about = {"serial_number": "STB-7", "procedure_id": "Main board FCT", "part_number": "STB-4K"}
    async with connect(lot.config(version)) as client:
        before = lot.asked()
        lacking = await ask(client, "import_report", path=below(JUNIT), dry_run=True)
        told = await refused(client, "import_report", path=below(JUNIT))
        assert lot.asked() == before, "nothing so far asked the service"
        said = await ask(client, "import_report", path=below(JUNIT), **about, dry_run=True)
        done = await ask(client, "import_report", path=below(JUNIT), **about)
        explained = await ask(client, "get_failed_cases", run_id=done["run_ids"][0])
    assert lacking["missing"] == ["serial_number", "procedure_id"]
    assert "may need part_number" in lacking["note"]
    assert "Give serial_number and procedure_id" in told
    assert "missing" not in said
    plan, kept = said["plan"], lot.run(done["run_ids"][0])
    assert (plan["unit"], plan["procedure"], plan["part"]) == ("STB-7", "Main board FCT", "STB-4K")
    assert [(case["case"], case["outcome"]) for case in plan["cases"]] == [
        ("tests/menu.py::test_that_menu_appears", "pass"),
        ("tests/epg.py::test_that_epg_is_populated", "fail"),
        ("tests/dvr.py::test_that_dvr_records", "error"),
    ]
    assert [p["outcome"] for p in kept["phases"]] == ["PASS", "FAIL", "ERROR"]
    assert (kept["outcome"], kept["started_at"][:19]) == ("FAIL", "2026-11-20T08:00:00")
    assert [case["case"] for case in explained["runs"][0]["cases"]] == [c["case"] for c in plan["cases"][1:]]


@VERSIONS
async def test_an_stdf_file_is_read_by_the_service(
    version: str, factory: Factory, reports: Path, connect: Connect, ask: ToolCaller
) -> None:
    content = (SAMPLES / "stdf" / "two_parts.stdf").read_bytes()
    (reports / "lot.stdf").write_bytes(content)
    async with connect(factory.config(version)) as client:
        before = factory.asked()
        said = await ask(client, "import_report", path="lot.stdf", dry_run=True)
        assert factory.asked() == before, "a dry run asked the service"
        done = await ask(client, "import_report", path="lot.stdf")
    assert said["plan"] == {"service": "factory", "importer": "STDF", "bytes": len(content)}
    assert "reads this format itself" in said["note"]
    kept = [factory.run(run_id) for run_id in done["run_ids"]]
    made = [("SN-0001", "PASS"), ("SN-0002", "FAIL")]
    assert [(run["unit"]["serial_number"], run["outcome"]) for run in kept] == made[: 2 if version == "v2" else 1]
    assert (factory.runs_of("SN-0001"), factory.runs_of("SN-0002")) == (1, 1)


@VERSIONS
@pytest.mark.parametrize("path", [OPENHTF[0], HARDPY[0], JUNIT], ids=["openhtf", "hardpy", "junit"])
async def test_a_report_imported_twice_is_one_run_and_the_second_answer_says_so(
    path: Path, version: str, factory: Factory, reports: Path, connect: Connect, ask: ToolCaller
) -> None:
    (reports / path.name).write_bytes(path.read_bytes())
    about = {"path": path.name, "serial_number": "SN-TWICE", "procedure_id": "Main board FCT", "part_number": "P"}
    async with connect(factory.config(version)) as client:
        first = await ask(client, "import_report", **about)
        again = await ask(client, "import_report", **about)
    async with connect(factory.config(version)) as other:
        later = await ask(other, "import_report", **about)
    assert factory.runs_of("SN-TWICE") == 1
    assert first["run_ids"] == again["run_ids"] == later["run_ids"]
    assert "already" not in first.get("note", "")
    assert again["note"] == later["note"] == "It was there already: nothing was recorded."


async def test_the_same_report_of_another_unit_is_another_run(
    factory: Factory, reports: Path, connect: Connect, ask: ToolCaller
) -> None:
    (reports / "r.xml").write_bytes(JUNIT.read_bytes())
    about = {"path": "r.xml", "procedure_id": "Main board FCT", "part_number": "P"}
    async with connect(factory.config()) as client:
        for serial in ("SN-A", "SN-B"):
            await ask(client, "import_report", **about, serial_number=serial)
    assert (factory.runs_of("SN-A"), factory.runs_of("SN-B")) == (1, 1)


async def test_a_report_may_be_given_as_text(factory: Factory, connect: Connect, ask: ToolCaller) -> None:
    text = OPENHTF[0].read_text(encoding="utf-8")
    latin = '<?xml version="1.0" encoding="iso-8859-1"?><testsuite><testcase name="größe"/></testsuite>'
    async with connect(factory.config()) as client:
        done = await ask(client, "import_report", content=text, serial_number="SN-TEXT")
        said = await ask(
            client, "import_report", content=latin, format="junit", started_at="2026-11-20T08:00:00Z", dry_run=True
        )
    assert factory.run(done["run_ids"][0])["unit"]["serial_number"] == "SN-TEXT"
    assert said["plan"]["cases"][0]["case"] == "größe"
    assert said["plan"]["started_at"] == "2026-11-20T08:00:00Z"


@VERSIONS
async def test_the_files_in_a_report_are_kept_with_its_run(
    version: str, factory: Factory, reports: Path, connect: Connect, ask: ToolCaller
) -> None:
    report = json.loads(OPENHTF[0].read_bytes())
    report["phases"][-1]["attachments"] = {
        "notes.txt": {"mimetype": "text/plain", "data": "aGVsbG8="},
        "elsewhere.bin": {"mimetype": "application/octet-stream", "sha1": "0"},
    }
    (reports / "r.json").write_text(json.dumps(report), encoding="utf-8")
    async with connect(factory.config(version)) as client:
        said = await ask(client, "import_report", path="r.json", dry_run=True)
        done = await ask(client, "import_report", path="r.json")
    kept = {
        file["name"]: factory.content(file["download_url"]) for file in factory.run(done["run_ids"][0])["attachments"]
    }
    assert sorted(said["plan"]["attachments"]) == sorted(kept) == ["notes.txt", "trace.csv"]
    assert kept["notes.txt"] == b"hello"
    assert "attachments that are not in the report" in said["lost"]


async def test_a_file_the_service_does_not_take_is_told_and_the_run_is_there(
    factory: Factory, reports: Path, connect: Connect, ask: ToolCaller
) -> None:
    report = json.loads(OPENHTF[0].read_bytes())
    large = b64encode(bytes(10 * 2**20 + 1)).decode()
    report["phases"][-1]["attachments"] = {"large.bin": {"mimetype": "application/octet-stream", "data": large}}
    (reports / "r.json").write_text(json.dumps(report), encoding="utf-8")
    async with connect(factory.config()) as client:
        said = await ask(client, "import_report", path="r.json", dry_run=True)
        done = await ask(client, "import_report", path="r.json")
    assert "1 attachment too large" in said["lost"]
    assert "1 attachment (The file is larger than TofuPilot takes)" in done["lost"]
    assert [file["name"] for file in factory.run(done["run_ids"][0])["attachments"]] == ["trace.csv"]


@VERSIONS
async def test_a_run_of_our_own_format_is_recorded_whole_with_the_files_beside_it(
    version: str, factory: Factory, reports: Path, connect: Connect, ask: ToolCaller
) -> None:
    rail = NewMeasurement("rail_5v", "fail", 5.31, "V", 4.75, 5.25)
    phase = NewPhase("power_on", "fail", NOON, NOON, (rail,), "above", "Traceback")
    run = NewRun("Main board FCT", "SN-OWN", "fail", NOON, NOON, str(uuid4()), part_number="P", phases=(phase,))
    files = ["SN-OWN/trace.csv", "gone.txt", "out.txt"]
    (reports / "own.json").write_bytes(write_run(run, station="bench-3", files=files, log="one\ntwo"))
    (reports / "SN-OWN").mkdir()
    (reports / "SN-OWN" / "trace.csv").write_bytes(b"1,2")
    (reports.parent / "secret").write_bytes(b"not for reading")
    (reports / "out.txt").symlink_to(reports.parent / "secret")
    async with connect(factory.config(version)) as client:
        said = await ask(client, "import_report", path="own.json", dry_run=True)
        done = await ask(client, "import_report", path="own.json")
        again = await ask(client, "import_report", path="own.json")
    kept = factory.run(done["run_ids"][0])
    assert said["format"] == "testlab"
    assert said["plan"]["variables"] == {"station": "bench-3"}
    lost = {"2 lines of log", "1 traceback", "2 attachments that cannot be read beside the report"}
    assert lost <= set(said["lost"]) & set(done["lost"])
    assert (kept["unit"]["serial_number"], kept["outcome"]) == ("SN-OWN", "FAIL")
    assert [(m["name"], m["measured_value"]) for m in kept["phases"][0]["measurements"]] == [("rail_5v", 5.31)]
    assert [file["name"] for file in kept["attachments"]] == ["trace.csv"]
    assert (again["run_ids"], factory.runs_of("SN-OWN")) == (done["run_ids"], 1)


async def test_a_folder_of_allure_results_is_one_run_with_its_files(
    factory: Factory, reports: Path, connect: Connect, ask: ToolCaller
) -> None:
    (reports / "allure").mkdir()
    result = {"uuid": "u", "name": "boot", "status": "failed", "start": 1_790_000_000_000, "stop": 1_790_000_001_000}
    result |= {"attachments": [{"source": "u-attachment.txt"}], "statusDetails": {"message": "off"}}
    (reports / "allure" / "u-result.json").write_text(json.dumps(result), encoding="utf-8")
    (reports / "allure" / "u-attachment.txt").write_bytes(b"t")
    about = {"path": "allure", "serial_number": "SN-AL", "procedure_id": "Main board FCT", "part_number": "P"}
    async with connect(factory.config()) as client:
        said = await ask(client, "import_report", **about, dry_run=True)
        done = await ask(client, "import_report", **about)
        again = await ask(client, "import_report", **about)
    kept = factory.run(done["run_ids"][0])
    assert (said["format"], said["plan"]["attachments"]) == ("allure", ["u-attachment.txt"])
    assert [(p["name"], p["outcome"]) for p in kept["phases"]] == [("boot", "FAIL")]
    assert [file["name"] for file in kept["attachments"]] == ["u-attachment.txt"]
    assert again["run_ids"] == done["run_ids"]


ATML = (
    '<tr:TestResults xmlns:tr="urn:IEEE-1636.1:2011:01:TestResults"{more}><tr:ResultSet ID="1" name="Main" '
    'startDateTime="2026-03-01T08:00:00Z" endDateTime="2026-03-01T08:01:00Z"><tr:Outcome value="Failed"/>'
    '</tr:ResultSet><tr:UUT><c:SerialNumber xmlns:c="urn:c">SN-ATML</c:SerialNumber></tr:UUT></tr:TestResults>'
)
WSXF = (
    '<Reports xmlns="http://wats.virinco.com/schemas/WATS/Report/wsxf"><Report SN="SN-X" PN="P" Result="P"/></Reports>'
)


@pytest.mark.parametrize(
    ("content", "importer", "serial", "outcome"),
    [
        ('{"sn": "SN-W", "pn": "P", "result": "Failed", "start": "2026-03-01T08:00:00Z"}', "WATS", "SN-W", "FAIL"),
        (WSXF, "WSXF", "SN-X", "PASS"),
        (ATML.format(more=""), "ATML", "SN-ATML", "FAIL"),
        (ATML.format(more=' xmlns:ts="www.ni.com/TestStand/16.0/ATML"'), "TESTSTAND", "SN-ATML", "FAIL"),
        ("FAR:A|4\nPRR:1|1|SN-D|1|P|1\n", "ATDF", "SN-D", "PASS"),
    ],
)
async def test_other_formats_are_recognised_and_go_to_the_importer_that_reads_them(
    content: str, importer: str, serial: str, outcome: str, lot: Factory, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(lot.config()) as client:
        before = lot.asked()
        said = await ask(client, "import_report", content=content, dry_run=True)
        assert lot.asked() == before, "a dry run asked the service"
        done = await ask(client, "import_report", content=content)
    kept = lot.run(done["run_ids"][0])
    assert said["plan"]["importer"] == importer
    assert (kept["unit"]["serial_number"], kept["outcome"]) == (serial, outcome)
