"""What a folder of reports answers: runs of every format in one list, filtered, counted, described and explained."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import Future
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from testlab_tools.adapters.folder.looking import Looker
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.folder.conftest import Table

SAMPLES = Path(__file__).parents[2] / "samples"
LOT = "Main board FCT"


def openhtf_reports() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((SAMPLES / "openhtf_lot").glob("*.json"))]


async def test_runs_of_every_format_stand_in_one_list_with_exact_totals(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(table(reports)) as client:
        page = await ask(client, "list_runs", limit=200)
        counted = await ask(client, "list_runs", limit=0)
    (share,) = page["services"]
    outcomes = [run["outcome"] for run in page["runs"]]
    assert share["total"] == len(outcomes) == 17
    assert share["by_outcome"] == {one: outcomes.count(one) for one in set(outcomes)}
    assert counted["services"][0]["by_outcome"] == share["by_outcome"]
    assert "at_least" not in share
    assert {run["test"] for run in page["runs"]} >= {LOT, "Final test"}
    starts = [run["started_at"] for run in page["runs"]]
    assert starts == sorted(starts, reverse=True)


async def test_each_filter_gives_the_runs_it_names(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(table(reports)) as client:
        every = (await ask(client, "list_runs", limit=200))["runs"]
        middle = sorted(run["started_at"] for run in every)[8]
        expected = {
            ("outcome", "fail"): [run for run in every if run["outcome"] == "fail"],
            ("unit", "sn-0004"): [run for run in every if run.get("unit") == "SN-0004"],
            ("part", "PCB-100"): [run for run in every if run.get("part") == "PCB-100"],
            ("test", "main board fct"): [run for run in every if run["test"] == LOT],
            ("test", "FVT1"): [run for run in every if run["test"] == LOT],
            ("station", "FCT-01"): [run for run in every if run.get("station") == "FCT-01"],
            ("since", middle): [run for run in every if run["started_at"] >= middle],
            ("until", middle): [run for run in every if run["started_at"] < middle],
        }
        for (name, value), runs in expected.items():
            page = await ask(client, "list_runs", limit=200, **{name: value})
            assert runs, name
            assert [run["run_id"] for run in page["runs"]] == [run["run_id"] for run in runs], name
            assert page["services"][0]["total"] == len(runs), name
        found = await ask(client, "list_runs", service="reports", filter="RAIL low")
    assert [run["test"] for run in found["runs"]] == ["nightly"]


async def test_pages_give_each_run_once_in_any_order(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(table(reports)) as client:
        for sort in ("newest", "oldest", "longest"):
            every = (await ask(client, "list_runs", limit=200, sort=sort))["runs"]
            paged: list[dict[str, Any]] = []
            cursor = ""
            while True:
                page = await ask(client, "list_runs", limit=4, sort=sort, cursor=cursor)
                paged += page["runs"]
                if not (cursor := page.get("cursor", "")):
                    break
            assert paged == every, sort
    assert every[0]["duration_s"] == max(run.get("duration_s", 0) for run in every)


async def test_a_test_that_no_report_is_of_is_said_not_to_be_there(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(table(reports)) as client:
        page = await ask(client, "list_runs", test="Main board")
        other = await ask(client, "list_runs", test=LOT, unit="SN-9")
    assert "No report in it is of such a test" in page["services"][0]["note"]
    assert "none that matches the rest" in other["services"][0]["note"]


async def test_a_station_that_no_report_is_of_is_refused_with_the_nearest(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(table(reports)) as client:
        station = next(run["station"] for run in (await ask(client, "list_runs"))["runs"] if run.get("station"))
        told = await refused(client, "list_runs", station=f"{station}x")
        assert "no run of that station" in told
        assert station in told.replace(f"{station}x", "")
        none = await ask(client, "list_runs", station=station, unit="SN-none")
    assert none["services"][0]["shown"] == 0


async def test_while_reports_are_still_being_read_no_station_is_said_not_to_be_there(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Looker, "look", lambda _: Future[bool]())
    async with connect(table(reports)) as client:
        (share,) = (await ask(client, "list_runs", station="FCT-01"))["services"]
    assert "Still being read" in share["note"]


async def test_a_run_is_told_with_its_measurements_limits_and_what_lies_beside_it(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    (reports / "lot 42" / "SN-0001.1.log").write_text("boot\nrail 5 V: 4.91\n", encoding="utf-8")
    kept = reports / "lot 42" / "SN-0001.1.json.files"
    kept.mkdir()
    (kept / "photo.txt").write_text("a photo", encoding="utf-8")
    (reports / "lot 42" / "SN-0001.1.out").symlink_to("/etc/hostname")
    async with connect(table(reports)) as client:
        (run,) = (await ask(client, "list_runs", unit="SN-0001", test=LOT))["runs"]
        whole = await ask(client, "get_run", run_id=run["run_id"], include=["cases", "measurements", "artifacts"])
        log = await ask(client, "read_log", run_id=run["run_id"])
        beside_log = await ask(client, "get_artifact", run_id=run["run_id"], name="SN-0001.1.log")
        inside = await ask(client, "get_artifact", run_id=run["run_id"], name="trace.csv")
        beside = await ask(client, "get_artifact", run_id=run["run_id"], name="photo.txt")
    (report,) = [report for report in openhtf_reports() if report["dut_id"] == "SN-0001"]
    measured = {m["name"]: m for case in whole["cases"] for m in case.get("measurements", [])}
    rail = report["phases"][1]["measurements"]["rail_5v"]
    assert measured["rail_5v"]["value"] == rail["measured_value"]
    assert (measured["rail_5v"]["lower"], measured["rail_5v"]["upper"]) == (4.85, 5.15)
    assert whole["run"]["batch"] == "LOT-42"
    names = [file["name"] for file in whole["artifacts"]]
    assert names == ["SN-0001.1.json", "SN-0001.1.log", "photo.txt", "log (in the report)", "trace.csv"]
    assert log["total_lines"] == len(report["log_records"])
    assert "rail 5 V: 4.91" in beside_log["text"]
    assert inside["text"].startswith("f,g")
    assert beside["text"] == "a photo"


async def test_why_a_run_failed_is_told_and_explained(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(table(reports)) as client:
        (nightly,) = (await ask(client, "list_runs", test="nightly"))["runs"]
        (rail,) = (await ask(client, "list_runs", unit="SN-0001", test="Final test"))["runs"]
        failed = await ask(client, "get_failed_cases", run_ids=[nightly["run_id"], rail["run_id"]])
        explained = await ask(client, "explain_failure", run_id=rail["run_id"])
        triage = await ask(client, "triage", since="2026-11-01", until="2027-12-01")
    of_pytest, of_hardpy = failed["runs"]
    assert [case["case"] for case in of_pytest["cases"]] == ["test_bench::test_fails"]
    assert "rail is low" in of_pytest["cases"][0]["reason"]
    assert "assert 4.2 > 5.0" in of_pytest["cases"][0]["traceback"]
    assert of_pytest["cases_run"] == 3
    assert of_hardpy["cases"][0]["reason"] == "rail_5v 5.31 V is above 5.25 V"
    assert "rail_5v" in json.dumps(explained)
    assert triage["services"][0]["service"] == "reports"
    assert "rail_5v 5.31 V is above 5.25 V" in json.dumps(triage)


async def test_a_units_runs_are_in_its_passport(reports: Path, table: Table, connect: Connect, ask: ToolCaller) -> None:
    async with connect(table(reports)) as client:
        passport = await ask(client, "get_unit", serial_number="SN-0004")
        listed = (await ask(client, "list_runs", unit="SN-0004"))["runs"]
    assert len(listed) == 2
    assert {run["run_id"] for run in passport["runs"]} == {run["run_id"] for run in listed}


async def test_summaries_count_what_a_count_by_hand_does(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    """First-pass yield: of each unit the first run decides."""
    first: dict[str, str] = {}
    rails: dict[str, float] = {}
    for report in sorted(openhtf_reports(), key=lambda report: report["start_time_millis"]):
        first.setdefault(report["dut_id"], report["outcome"])
        for phase in report["phases"]:
            if "rail_5v" in phase["measurements"]:
                rails.setdefault(report["dut_id"], phase["measurements"]["rail_5v"]["measured_value"])
    async with connect(table(reports)) as client:
        asked = {"test": LOT, "since": "2026-11-01", "until": "2027-12-01"}
        yields = await ask(client, "summarize_runs", metric="first_pass_yield", **asked)
        runs = await ask(client, "summarize_runs", metric="runs", **asked)
        stats = await ask(client, "measurement_stats", measurement="rail_5v", **asked)
    counted = {name: sum(outcome == name for outcome in first.values()) for name in ("PASS", "FAIL", "ERROR")}
    total = yields["total"]
    assert (total["runs"], total["passed"], total["failed"]) == (len(first), counted["PASS"], counted["FAIL"])
    assert total["rate"] == round(counted["PASS"] / (counted["PASS"] + counted["FAIL"]), 4)
    assert runs["total"]["runs"] == len(openhtf_reports()) == 14
    assert (stats["n"], stats["mean"]) == (len(rails), round(mean(rails.values()), 5))


async def test_a_new_report_is_in_the_next_answer_and_a_deleted_one_is_not(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(table(reports, rescan_seconds=3600)) as client:
        before = await ask(client, "list_runs", limit=0)
        shutil.move(reports / "lot 42" / "SN-0001.1.json", reports.parent / "away.json")
        (reports / "nightly.xml").unlink()
        less = await _until(client, ask, 15)
        shutil.move(reports.parent / "away.json", reports / "back.json")
        again = await _until(client, ask, 16)
    assert before["services"][0]["total"] == 17
    assert (less, again) == (15, 16)


async def _until(client: Any, ask: ToolCaller, total: int) -> int:
    """What is counted, within two seconds."""
    counted = -1
    with anyio.move_on_after(2):
        while counted != total:
            counted = (await ask(client, "list_runs", limit=0))["services"][0]["total"]
    return counted


async def test_a_run_that_is_not_there_is_not_found(
    reports: Path, table: Table, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(table(reports)) as client:
        told = await refused(client, "get_run", run_id="reports:0123456789abcdef")
        odd = await refused(client, "get_run", run_id="reports:../../etc/passwd")
    assert "reports has no such run" in told
    assert "reports has no such run" in odd


async def test_a_folder_that_is_put_in_the_place_of_another_is_looked_at(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(table(reports, rescan_seconds=3600)) as client:
        await ask(client, "list_runs")
        await anyio.sleep(1.2)  # until changes are heard of
        await ask(client, "list_runs")
        shutil.rmtree(reports)
        shutil.copytree(SAMPLES / "hardpy", reports)
        assert await _until(client, ask, 2) == 2
        shutil.copy(SAMPLES / "openhtf_lot" / "SN-0001.1.json", reports)
        assert await _until(client, ask, 3) == 3


async def test_the_state_that_hardpy_keeps_of_its_last_run_is_no_run_besides(
    tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = tmp_path / "runstore"
    folder.mkdir()
    report = json.loads(next(iter(sorted((SAMPLES / "hardpy").glob("*.json")))).read_text(encoding="utf-8"))
    del report["id"], report["rev"]
    for name, rev in (("1795230916123", "1-a"), ("localhost_8931", "7-b")):
        (folder / f"{name}.json").write_text(json.dumps({**report, "_id": name, "_rev": rev}), encoding="utf-8")
    async with connect(table(folder)) as client:
        page = await ask(client, "list_runs")
    assert page["services"][0]["total"] == 1
    assert not page["services"][0].get("note")


async def test_reports_of_no_unit_that_are_alike_are_said(
    tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    report = json.loads(next(iter(sorted((SAMPLES / "hardpy").glob("*.json")))).read_text(encoding="utf-8"))
    report["dut"]["serial_number"] = None
    for name in ("a", "b"):
        (folder / f"{name}.json").write_text(json.dumps({**report, "id": name}), encoding="utf-8")
    async with connect(table(folder)) as client:
        one, other = (await ask(client, "list_runs"))["runs"]
        told = await ask(client, "get_run", run_id=one["run_id"])
    assert f"counts besides: {other['run_id']}" in told["note"]
