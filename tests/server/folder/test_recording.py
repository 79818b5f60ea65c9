"""New runs in a folder: written whole, once, in a format that is read back, and through the outbox."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.folder.conftest import Table

SAMPLES = Path(__file__).parents[2] / "samples"
RUN = {
    "procedure_id": "FVT1",
    "serial_number": "SN/77 α",
    "outcome": "fail",
    "part_number": "PCB-100",
    "started_at": "2026-11-20T08:00:00Z",
    "variables": {"station": "bench-3"},
    "phases": [
        {
            "name": "power",
            "outcome": "fail",
            "duration_s": 2,
            "measurements": [{"name": "rail_5v", "value": 5.4, "units": "V", "limits": "4.85 <= x <= 5.15"}],
        }
    ],
}


def written(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def test_a_run_is_one_whole_file_that_is_read_back(
    tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    (tmp_path / "trace.csv").write_text("f,g\n", encoding="utf-8")
    async with connect(table(folder)) as client:
        made = await ask(client, "create_run", **RUN, attachments=[str(tmp_path / "trace.csv")])
        (run,) = (await ask(client, "list_runs", unit=RUN["serial_number"]))["runs"]
        failed = await ask(client, "get_failed_cases", run_id=made["run_id"])
        files = await ask(client, "get_artifact", run_id=made["run_id"])
    assert made["run_id"] == run["run_id"]
    assert made["run"]["unit"] == RUN["serial_number"]
    assert (run["station"], run["part"], run["started_at"]) == ("bench-3", "PCB-100", RUN["started_at"])
    assert failed["runs"][0]["cases"][0]["reason"] == "rail_5v 5.4 V is above 5.15 V"
    assert "trace.csv" in {file["name"] for file in files["artifacts"]}
    report, attached = written(folder)
    assert report.name.startswith("20261120-080000_SN-77_")
    assert json.loads(report.read_text(encoding="utf-8"))["format"] == "testlab-run"
    assert attached == report.with_name(f"{report.name}.files") / "trace.csv"


async def test_reports_of_frameworks_are_recorded_and_count_once_however_often_they_come(
    tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    content = (SAMPLES / "openhtf_lot" / "SN-0004.1.json").read_text(encoding="utf-8")
    async with connect(table(folder)) as client:
        planned = await ask(client, "import_report", content=content, dry_run=True)
        first = await ask(client, "import_report", content=content, dry_run=False)
        again = await ask(client, "import_report", content=content, dry_run=False)
        page = await ask(client, "list_runs")
        files = await ask(client, "get_artifact", run_id=first["run_ids"][0])
    assert planned.get("refused", []) == []
    assert again["run_ids"] == first["run_ids"]
    assert "was there already" in again["note"]
    assert page["services"][0]["total"] == 1
    assert page["runs"][0]["test"] == "Main board FCT"
    assert "trace.csv" in {file["name"] for file in files["artifacts"]}


async def test_a_report_that_lies_in_the_folder_is_not_recorded_besides(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    content = (SAMPLES / "openhtf_lot" / "SN-0004.1.json").read_text(encoding="utf-8")
    async with connect(table(reports)) as client:
        answer = await ask(client, "import_report", content=content, dry_run=False)
        page = await ask(client, "list_runs", unit="SN-0004")
    assert "was there already" in answer["note"]
    assert answer["run_ids"][0] in {run["run_id"] for run in page["runs"]}
    assert page["services"][0]["total"] == 2


async def test_a_new_run_of_a_known_procedures_id_counts_as_the_same_test(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(table(reports)) as client:
        await ask(client, "create_run", **RUN)
        page = await ask(client, "list_runs", test="Main board FCT", limit=0)
    assert page["services"][0]["total"] == 15


async def test_a_run_for_a_folder_that_is_gone_waits_until_it_is_back(
    tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    database = tmp_path / "deliveries.sqlite"
    durable = f"[durable]\npath = '{database}'\nlongest_pause_seconds = 1\nanswer_within_seconds = 2\n"
    async with connect(table(folder) + durable) as client:
        await ask(client, "list_runs")
        shutil.move(folder, tmp_path / "away")
        queued = await ask(client, "create_run", **RUN)
        assert queued["queued"]
        assert not folder.exists(), "a folder that is gone may be a drive that is not mounted"
        shutil.move(tmp_path / "away", folder)
        with anyio.fail_after(15):
            while not written(folder):  # noqa: ASYNC110 - the delivery is on its own, and is seen by its file
                await anyio.sleep(0.1)
    assert len(written(folder)) == 1


async def test_globs_alone_name_no_folder_for_new_runs(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller, refused: RefusedCaller, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    durable = "[durable]\nenabled = false\n"
    async with connect(table(reports / "**" / "*.xml") + durable) as client:
        assert (await ask(client, "list_runs", limit=0))["services"][0]["total"] == 1
        told = await refused(client, "create_run", **RUN)
    assert "has no folder for new runs" in told
    assert "write_to" in told
    async with connect(table(reports / "**" / "*.xml", write_to=str(inbox)) + durable) as client:
        await ask(client, "create_run", **RUN)
        assert (await ask(client, "list_runs", limit=0))["services"][0]["total"] == 2
    assert len(written(inbox)) == 1


async def test_names_of_attachments_lead_nowhere(
    tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    report: dict[str, Any] = json.loads((SAMPLES / "openhtf_lot" / "SN-0004.1.json").read_text(encoding="utf-8"))
    (phase,) = [phase for phase in report["phases"] if phase["attachments"]]
    file = phase["attachments"].pop("trace.csv")
    phase["attachments"] |= {"../../out.csv": file, "CON": file, "..": file}
    async with connect(table(folder)) as client:
        made = await ask(client, "import_report", content=json.dumps(report), dry_run=False)
        files = await ask(client, "get_artifact", run_id=made["run_ids"][0])
    assert {"../../out.csv", "CON", ".."} <= {file["name"] for file in files["artifacts"]}
    assert {path.parent.name for path in written(tmp_path) if path.suffix != ".json"} >= {
        f"{path.name}.files" for path in folder.glob("*.json")
    }
    assert not (tmp_path / "out.csv").exists()
    assert not (folder / "out.csv").exists()


async def test_an_imported_report_and_its_original_are_one_run_with_its_log(
    tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    ref = "0e2ab3a0-27a1-4a9c-8b13-2f3c1d1b0a55"
    times = {"started_at": "2026-11-20T08:00:00Z", "ended_at": "2026-11-20T08:01:00Z"}
    report = {"format": "testlab-run", "version": 1, "ref": ref, "outcome": "pass", **times, "log": "one\ntwo\n"}
    report |= {"unit": {"serial_number": "SN-1"}, "procedure": {"id": "fvt", "name": "FVT"}}
    content = json.dumps(report)
    async with connect(table(folder)) as client:
        planned = await ask(client, "import_report", content=content, dry_run=True)
        made = await ask(client, "import_report", content=content, dry_run=False)
        log = await ask(client, "read_log", run_id=made["run_ids"][0])
        again = await ask(client, "import_report", content=content, dry_run=False)
        (folder / "original.json").write_text(content, encoding="utf-8")
        page = await ask(client, "list_runs")
    assert not planned.get("lost")
    assert not made.get("lost")
    assert "two" in json.dumps(log)
    assert (made["runs"][0]["unit_is"], again["runs"][0]["unit_is"]) == ("new", "known")
    assert page["services"][0]["total"] == 1
    assert not page["services"][0].get("note")
    assert [json.loads(path.read_text(encoding="utf-8"))["ref"] for path in folder.glob("2026*.json")] == [ref]
