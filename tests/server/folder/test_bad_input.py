"""What may lie in a folder besides whole reports: nothing is silently left out, counted twice, or followed out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.folder.conftest import Table

SAMPLES = Path(__file__).parents[2] / "samples"
ONE = SAMPLES / "openhtf_lot" / "SN-0001.1.json"
BOMB = """<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<testsuite timestamp="2026-11-20T08:00:00"><testcase name="&b;"/></testsuite>"""


def write_bad(folder: Path) -> None:
    """Nine files that cannot be read, and two that are no reports."""
    whole = ONE.read_text(encoding="utf-8")
    (folder / "cut.json").write_text(whole[:500], encoding="utf-8")
    (folder / "empty.json").write_text("", encoding="utf-8")
    (folder / "bomb.xml").write_text(BOMB, encoding="utf-8")
    (folder / "deep.json").write_text('{"dut_id":' * 100_000, encoding="utf-8")
    with (folder / "huge.json").open("wb") as huge:
        huge.truncate(2**31)
    (folder / "out.json").symlink_to("/etc/hostname")
    (folder / "wats.json").write_text('{"pn": "P", "sn": "S", "result": "P"}', encoding="utf-8")
    (folder / "latin.json").write_bytes(b'{"dut_id": "\xff\xfe", "phases": []}')
    (folder / "package.json").write_text('{"name": "x"}', encoding="utf-8")
    (folder / "layout.xml").write_text("<layout/>", encoding="utf-8")
    os.mkfifo(folder / "pipe.json")


async def test_files_that_cannot_be_read_are_counted_with_why(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    write_bad(reports)
    async with connect(table(reports)) as client:
        (share,) = (await ask(client, "list_runs", limit=3))["services"]
        counted = (await ask(client, "list_runs", limit=0))["services"][0]
        stats = await ask(client, "summarize_runs", metric="runs", since="2026-11-01")
    assert share["total"] == 17
    assert "9 files are left out" in share["note"]
    for why in ("5 damaged", "1 larger than 64 MiB", "1 behind a link", "1 of a format that is not read here"):
        assert why in share["note"], why
    assert counted["note"] == share["note"]
    assert "9 files are left out" in stats["services"][0]["note"]


async def test_the_same_report_twice_is_one_run_and_two_reports_of_one_are_said_to_be(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    shutil.copy(ONE, reports / "copy of it.json")
    other = json.loads(ONE.read_text(encoding="utf-8"))
    other["metadata"]["operator_note"] = "exported again"
    (reports / "again.json").write_text(json.dumps(other), encoding="utf-8")
    async with connect(table(reports)) as client:
        page = await ask(client, "list_runs", unit="SN-0001", test="Main board FCT")
        first, second = [await ask(client, "get_run", run_id=run["run_id"], include=["cases"]) for run in page["runs"]]
        (reports / "lot 42" / ONE.name).unlink()
        rest = await ask(client, "list_runs", unit="SN-0001", test="Main board FCT")
    notes = first["note"] + second["note"]
    assert "2 files hold this run; it counts once." in notes
    assert f"counts besides: {page['runs'][0]['run_id']}" in notes
    assert len(rest["runs"]) == 2, "the copy still holds the run"


async def test_a_report_that_grows_is_read_once_it_is_whole(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    whole = ONE.read_text(encoding="utf-8").replace("SN-0001", "SN-9999")
    async with connect(table(reports)) as client:
        (reports / "growing.json").write_text(whole[:1000], encoding="utf-8")
        part = (await ask(client, "list_runs", unit="SN-9999"))["services"][0]
        with (reports / "growing.json").open("a", encoding="utf-8") as file:
            file.write(whole[1000:])
        told = (await ask(client, "list_runs", unit="SN-9999"))["services"][0]
    assert part["total"] == 0
    assert "1 file is left out" in part["note"]
    assert told["total"] == 1
    assert "note" not in told


async def test_a_folder_that_goes_away_is_down_and_never_without_runs(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(table(reports)) as client:
        (run, *_) = (await ask(client, "list_runs"))["runs"]
        shutil.move(reports, reports.parent / "away")
        for tool, arguments in (("list_runs", {}), ("get_run", {"run_id": run["run_id"]}), ("triage", {})):
            told = await refused(client, tool, **arguments)
            assert "A folder of reports is not there" in told, tool
            assert "[services.reports] path" in told, tool
        shutil.move(reports.parent / "away", reports)
        page = await ask(client, "list_runs")
    assert page["services"][0]["total"] == 17


async def test_an_empty_folder_has_no_runs(tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller) -> None:
    (tmp_path / "empty").mkdir()
    async with connect(table(tmp_path / "empty")) as client:
        page = await ask(client, "list_runs")
    assert page["services"][0]["total"] == 0


async def test_an_empty_folder_on_another_device_is_a_drive_that_is_not_mounted(
    reports: Path,
    table: Table,
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from testlab_tools.adapters.folder import looking

    device = reports.stat().st_dev
    async with connect(table(reports)) as client:
        await ask(client, "list_runs")
        monkeypatch.setattr(looking, "device_of", lambda path: device + 1)
        shutil.rmtree(reports)
        reports.mkdir()
        told = await refused(client, "list_runs")
        monkeypatch.setattr(looking, "device_of", lambda path: device)
        page = await ask(client, "list_runs")
    assert "is its drive mounted?" in told
    assert page["services"][0]["total"] == 0, "on the same device they were deleted"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
async def test_files_without_permission_are_told_and_read_once_they_may_be(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    (reports / "lot 42" / ONE.name).chmod(0)
    (reports / "stand").chmod(0)
    async with connect(table(reports)) as client:
        before = (await ask(client, "list_runs"))["services"][0]
        (reports / "lot 42" / ONE.name).chmod(0o600)
        (reports / "stand").chmod(0o700)
        after = (await ask(client, "list_runs"))["services"][0]
    assert before["total"] == 14
    assert "2 without permission to read" in before["note"]
    assert after["total"] == 17


async def test_links_are_not_followed_wherever_they_lead(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller, refused: RefusedCaller, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(SAMPLES / "hardpy", outside)
    (outside / "secret.txt").write_text("secret", encoding="utf-8")
    (reports / "elsewhere").symlink_to(outside)
    (reports / "loop").symlink_to(reports)
    (reports / "lot 42" / "SN-0001.1.txt").symlink_to(outside / "secret.txt")
    (reports / "lot 42" / "SN-0001.1.json.files").symlink_to(outside)
    async with connect(table(reports)) as client:
        (share,) = (await ask(client, "list_runs"))["services"]
        (run,) = (await ask(client, "list_runs", unit="SN-0001", test="Main board FCT"))["runs"]
        files = await ask(client, "get_artifact", run_id=run["run_id"])
        told = await refused(client, "get_artifact", run_id=run["run_id"], name="../../outside/secret.txt")
    assert share["total"] == 17
    assert "2 behind a link that leads out of the folder" in share["note"]
    names = [file["name"] for file in files["artifacts"]]
    assert names == ["SN-0001.1.json", "log (in the report)", "trace.csv"]
    assert "no such artifact" in told
