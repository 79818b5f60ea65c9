"""`POST /v2/imports/structured`: real OpenHTF reports, an STDF file, and what plausibly is of the other formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
REPORTS = sorted((SAMPLES / "openhtf_lot").glob("*.json"))
ATML = """<tr:TestResultsCollection xmlns:tr="urn:IEEE-1636.1:2011:01:TestResultsCollection">
<tr:ResultSet ID="1" name="MainSequence" startDateTime="2026-03-01T08:00:00Z" endDateTime="2026-03-01T08:01:00Z">
<tr:Outcome value="Failed"/><tr:Test ID="2" name="Rail"><tr:Outcome value="Failed"/>
<tr:TestResult ID="3" name="v"><tr:TestData><c:Datum xmlns:c="urn:c" value="4.1" nonStandardUnit="V"/></tr:TestData>
</tr:TestResult></tr:Test></tr:ResultSet><tr:UUT><c:SerialNumber xmlns:c="urn:c">SN-ATML</c:SerialNumber></tr:UUT>
</tr:TestResultsCollection>"""


def _record(**changes: Any) -> bytes:
    least = {"dut_id": "S", "start_time_millis": 1, "end_time_millis": 2, "outcome": "PASS", "metadata": {}}
    return json.dumps({**least, "phases": [], **changes}).encode()


def _import(tofupilot, data: bytes, importer: str, **more: Any) -> dict[str, Any]:
    upload = tofupilot.upload(data)
    body = {"items": [{"upload_id": upload, "importer": importer}], **more}
    reply = tofupilot.v2.post("/imports/structured", json=body)
    assert reply.status_code == 200, reply.text
    (result,) = reply.json()["results"]
    assert result["upload_id"] == upload
    return result


def test_there_are_fourteen_reports():
    assert len(REPORTS) == 14


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_a_real_report_comes_back_with_its_phases_measurements_and_files(fresh, path):
    report = json.loads(path.read_text(encoding="utf-8"))
    run = fresh.run(_import(fresh, path.read_bytes(), "OPENHTF")["id"])
    assert (run["outcome"], run["unit"]["serial_number"]) == (report["outcome"], report["dut_id"])
    assert (run["unit"]["part"]["number"], run["unit"]["batch"]["number"]) == ("PCB-100", "LOT-42")
    assert run["procedure"]["id"] == fresh.procedure_id
    assert run["procedure"]["version"]["tag"] == "2.1.0"
    assert [(p["name"], p["outcome"]) for p in run["phases"]] == [(p["name"], p["outcome"]) for p in report["phases"]]
    told = [m for p in report["phases"] for m in p["measurements"].values()]
    shown = [m for p in run["phases"] for m in p["measurements"]]
    assert [(m["name"], m["outcome"], m["measured_value"]) for m in shown] == [
        (m["name"], m["outcome"], m["measured_value"]) for m in told
    ]
    assert [f["name"] for f in run["attachments"]] == ["trace.csv"]
    assert fresh.anyone.get(run["attachments"][0]["download_url"]).content == b"f,g\n100,-3\n"


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_limits_told_as_text_come_back_as_numbers(fresh, path):
    run = fresh.run(_import(fresh, path.read_bytes(), "OPENHTF")["id"])
    found = {m["name"]: m for p in run["phases"] for m in p["measurements"]}
    rail = found["rail_5v"]
    assert [(v["operator"], v["expected_value"], v["is_decisive"]) for v in rail["validators"]] == [
        (">=", 4.85, True),
        (">=", 4.9, False),
        ("<=", 5.1, False),
        ("<=", 5.15, True),
    ]
    for v in rail["validators"]:
        held = rail["measured_value"] >= v["expected_value"]
        held = held if v["operator"] == ">=" else rail["measured_value"] <= v["expected_value"]
        assert v["outcome"] == ("PASS" if held else "FAIL")
    assert [(v["operator"], v["expected_value"]) for v in found["idle_current"]["validators"]] == [("<=", 0.12)]
    assert [(v["operator"], v["expected_value"]) for v in found["firmware"]["validators"]] == [
        ("matches", "^1\\.4\\.2$")
    ]
    assert [len(series["data"]) for series in found["gain"]["data_series"]] == [3, 3]


def test_attempts_within_a_run_are_counted(fresh):
    attempts: dict[str, list[tuple[str, int]]] = {}
    for path in REPORTS:
        run = fresh.run(_import(fresh, path.read_bytes(), "OPENHTF")["id"])
        flash = [(p["outcome"], p["retry_count"]) for p in run["phases"] if p["name"] == "flash_firmware"]
        if len(flash) > 1:
            attempts[path.stem] = flash
    assert attempts == {"SN-0001.1": [("FAIL", 0), ("PASS", 1)], "SN-0004.1": [("FAIL", 0), ("FAIL", 1)]}


def test_why_a_run_ended_with_error_is_in_its_logs(fresh):
    run = fresh.run(_import(fresh, (SAMPLES / "openhtf_lot/SN-0005.1.json").read_bytes(), "OPENHTF")["id"])
    errors = [line["message"] for line in run["logs"] if line["source_file"] == "outcome_details"]
    assert errors == ["RuntimeError: DMM not responding on GPIB0::22"]


def test_the_same_content_is_imported_once_unless_told(fresh):
    data = REPORTS[0].read_bytes()
    first = _import(fresh, data, "OPENHTF")
    again = _import(fresh, data, "OPENHTF")
    assert (first["already_imported"], again["already_imported"], again["id"]) == (False, True, first["id"])
    second = _import(fresh, data, "OPENHTF", allow_duplicate=True)
    assert second["id"] != first["id"]
    fresh.v2.delete("/runs", params={"ids": [first["id"], second["id"]]})
    assert _import(fresh, data, "OPENHTF")["already_imported"] is False


def test_a_range_is_read_and_any_other_limit_kept_as_text(fresh):
    data = (SAMPLES / "openhtf_validators/report.json").read_bytes()
    run = fresh.run(_import(fresh, data, "OPENHTF")["id"])
    read = {
        m["name"]: [(v["operator"], v["expected_value"]) for v in m["validators"] or []]
        for p in run["phases"]
        for m in p["measurements"]
    }
    assert read["minimum"] == [(">=", 1)]
    assert read["tiny"] == [(">=", 1e-9), ("<=", 1e-7)]
    assert read["equals_number"] == read["within_percent"] == read["pivot"] == [(None, None)]
    assert read["falsy"] == []


def test_an_stdf_file_is_a_run_for_each_part(fresh):
    result = _import(fresh, (SAMPLES / "stdf/two_parts.stdf").read_bytes(), "STDF")
    good, bad = (fresh.run(run_id) for run_id in result["ids"])
    assert (good["unit"]["serial_number"], good["outcome"]) == ("SN-0001", "PASS")
    assert (bad["unit"]["serial_number"], bad["outcome"]) == ("SN-0002", "FAIL")


@pytest.mark.parametrize(
    ("importer", "content", "serial", "outcome"),
    [
        ("WATS", '{"sn": "SN-W", "pn": "P", "result": "Failed", "start": "2026-03-01T08:00:00Z"}', "SN-W", "FAIL"),
        (
            "WSXF",
            '<Report SN="SN-X" PN="P" Result="P" Start="2026-03-01T08:00:00"/>',
            "SN-X",
            "PASS",
        ),
        ("ATML", ATML, "SN-ATML", "FAIL"),
        ("TESTSTAND", ATML, "SN-ATML", "FAIL"),
        ("ATDF", "FAR:A|4\nPRR:1|1|SN-D|1|P|1\n", "SN-D", "PASS"),
    ],
)
def test_the_other_formats_are_read_as_far_as_a_run_needs(fresh, importer, content, serial, outcome):
    run = fresh.run(_import(fresh, content.encode(), importer)["id"])
    assert (run["unit"]["serial_number"], run["outcome"]) == (serial, outcome)


@pytest.mark.parametrize("importer", ["OPENHTF", "WATS", "WSXF", "ATML", "TESTSTAND", "STDF", "ATDF"])
def test_what_is_not_of_the_format_fails_alone_and_says_so(fresh, importer):
    bad, good = fresh.upload(b"hello"), fresh.upload(REPORTS[0].read_bytes())
    items = [{"upload_id": bad, "importer": importer}, {"upload_id": good, "importer": "OPENHTF"}]
    first, second = fresh.v2.post("/imports/structured", json={"items": items}).json()["results"]
    assert (first["success"], first["id"], second["success"]) == (False, None, True)
    assert importer in first["error"]


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"<a/>",
        _record(phases=5),
        _record(start_time_millis=None),
        _record(phases=[{"name": "a"}]),
    ],
)
def test_a_damaged_openhtf_report_is_no_crash(fresh, content):
    result = _import(fresh, content, "OPENHTF")
    assert result["success"] is False
    assert result["error"]


def test_an_unknown_upload_or_importer_is_refused(fresh):
    missing = {"items": [{"upload_id": "00000000-0000-4000-8000-000000000000", "importer": "OPENHTF"}]}
    assert fresh.v2.post("/imports/structured", json=missing).status_code == 404
    wrong = {"items": [{"upload_id": "x", "importer": "JUNIT"}]}
    assert fresh.v2.post("/imports/structured", json=wrong).status_code == 400
    assert fresh.v2.post("/imports/structured", json={"items": []}).status_code == 400
