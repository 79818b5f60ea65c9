"""The index of a folder: made once, used by several servers at once, and made again where it is damaged."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.fixture_types import Connect, ToolCaller
from tests.server_processes import start_server

if TYPE_CHECKING:
    from tests.server.folder.conftest import Table

SAMPLES = Path(__file__).parents[2] / "samples"
MANY = 600


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of so many reports that processes of their own read them."""
    folder = tmp_path / "many"
    folder.mkdir()
    report = (SAMPLES / "openhtf_lot" / "SN-0001.1.json").read_text(encoding="utf-8")
    for number in range(MANY):
        (folder / f"{number}.json").write_text(report.replace("SN-0001", f"SN-{number:05}"), encoding="utf-8")
    return folder


async def total_of(client: Any, ask: ToolCaller) -> int:
    """How many runs are counted, once none is still being read."""
    with anyio.fail_after(60):
        while "at_least" in (share := (await ask(client, "list_runs", limit=1))["services"][0]):
            assert share["total"] <= MANY
            await anyio.sleep(0.05)
    return share["total"]


async def test_a_second_server_reads_no_report_again(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(table(reports)) as client:
        before = await ask(client, "list_runs")
        # Files that were written a moment before they were read are read once more.
        await anyio.sleep(0.2)
        await ask(client, "list_runs")
    monkeypatch.setattr("testlab_tools.adapters.folder.workers.read_record", None)
    async with connect(table(reports)) as client:
        assert await ask(client, "list_runs") == before


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 1000, None])
async def test_a_damaged_index_is_made_again(
    damage: bytes | None, reports: Path, table: Table, connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    async with connect(table(reports)) as client:
        before = await ask(client, "list_runs")
        if damage is None:  # while it is open
            (index,) = (tmp_path / "index").glob("*.sqlite")
            with index.open("r+b") as file:
                file.seek(4096)
                file.write(b"\xff" * 64 * 1024)
            for log in (tmp_path / "index").glob("*-wal"):
                log.write_bytes(b"")
            assert (await ask(client, "list_runs"))["runs"] == before["runs"]
    if damage is not None:
        for path in (tmp_path / "index").glob("*.sqlite*"):
            path.unlink()
        (lock,) = (tmp_path / "index").iterdir()
        lock.with_suffix(".sqlite").write_bytes(damage)
    async with connect(table(reports)) as client:
        assert await ask(client, "list_runs") == before


async def test_several_servers_at_once_read_each_report_and_count_it_once(
    many: Path, table: Table, spawn: Connect, connect: Connect, ask: ToolCaller
) -> None:
    found: list[int] = []

    async def count(opened: Any) -> None:
        async with opened as client:
            found.append(await total_of(client, ask))

    async with anyio.create_task_group() as group:
        group.start_soon(count, spawn(table(many)))
        group.start_soon(count, connect(table(many)))
        group.start_soon(count, connect(table(many)))
    assert found == [MANY] * 3


async def test_a_reader_that_dies_takes_one_file_with_it(
    many: Path, table: Table, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    (many / "deadly.json").write_text("{}", encoding="utf-8")
    script = many.parent / "reader.py"
    script.write_text(
        "import os, testlab_tools.adapters.folder.workers as workers\n"
        "read = workers.read_record\n"
        "workers.read_record = lambda r: os._exit(9) if r.relative == 'deadly.json' else read(r)\n"
        "workers.main()\n",
        encoding="utf-8",
    )
    monkeypatch.setattr("testlab_tools.adapters.folder.workers.COMMAND", (sys.executable, str(script)))
    async with connect(table(many)) as client:
        total = await total_of(client, ask)
        share = (await ask(client, "list_runs", limit=1))["services"][0]
    assert total == MANY
    assert "1 damaged" in share["note"]


async def test_a_server_that_is_killed_as_it_reads_leaves_the_rest_to_the_next(
    many: Path, table: Table, connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    config = tmp_path / "killed.toml"
    config.write_text(table(many), encoding="utf-8")
    with start_server("call", "list_runs", "--config", str(config), "--json") as process:
        with anyio.fail_after(30):
            while not list((tmp_path / "index").glob("*.sqlite")):  # noqa: ASYNC110 - another process makes it
                await anyio.sleep(0.01)
        process.kill()
    async with connect(table(many)) as client:
        assert await total_of(client, ask) == MANY


async def test_history_knows_what_came_after_an_index_was_made_anew(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    asked = {"metric": "runs", "since": "2026-11-01"}
    async with connect(table(reports)) as client:
        before = await ask(client, "summarize_runs", **asked)
    shutil.rmtree(tmp_path / "index")
    late = json.loads((SAMPLES / "openhtf_lot" / "SN-0001.1.json").read_text(encoding="utf-8"))
    late["dut_id"] = "SN-LATE"
    (reports / "late.json").write_text(json.dumps(late), encoding="utf-8")
    async with connect(table(reports)) as client:
        after = await ask(client, "summarize_runs", **asked)
    assert after["total"]["runs"] == before["total"]["runs"] + 1


async def test_history_forgets_a_deleted_report_at_the_next_question(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    asked = {"metric": "runs", "since": "2020-01-01"}
    async with connect(table(reports)) as client:
        before = await ask(client, "summarize_runs", **asked)
        listed = await ask(client, "list_runs", limit=0)
        (reports / "lot 42" / "SN-0001.1.json").unlink()
        late = json.loads((SAMPLES / "openhtf_lot" / "SN-0001.1.json").read_text(encoding="utf-8"))
        late["dut_id"] = "SN-LATE"
        (reports / "late.json").write_text(json.dumps(late), encoding="utf-8")
        swapped = await ask(client, "summarize_runs", **asked)
        (reports / "late.json").unlink()
        (reports / "nightly.xml").unlink()
        after = await ask(client, "summarize_runs", **asked)
    async with connect(table(reports)) as client:
        again = await ask(client, "summarize_runs", **asked)
    total = listed["services"][0]["total"]
    runs = [found["total"]["runs"] for found in (before, swapped, after, again)]
    assert runs == [total, total, total - 2, total - 2]


def written_run(ref: str, unit: str, **fields: object) -> str:
    times = {"started_at": "2026-11-20T08:00:00Z", "ended_at": "2026-11-20T08:01:00Z"}
    run = {"format": "testlab-run", "version": 1, "ref": ref, "outcome": "pass", **times, "procedure": {"name": "FVT"}}
    return json.dumps({**run, "unit": {"serial_number": unit}, **fields})


async def test_runs_whose_ids_differ_in_their_clock_alone_are_several(
    tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    for number in range(5):
        ref = f"{number:08x}-cc00-11f0-8001-a26702fc0000"
        (folder / f"{number}.json").write_text(written_run(ref, f"SN-{number}"), encoding="utf-8")
    async with connect(table(folder)) as client:
        page = await ask(client, "list_runs")
    assert page["services"][0]["total"] == 5
    assert len({run["run_id"] for run in page["runs"]}) == 5


async def test_files_of_one_id_that_differ_are_said_and_the_one_that_stays_is_told(
    tmp_path: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    ref = "0e2ab3a0-27a1-4a9c-8b13-2f3c1d1b0a55"
    for name, unit in (("a", "SN-0005"), ("b", "SN-9999"), ("c", "SN-9999")):
        (folder / f"{name}.json").write_text(written_run(ref, unit), encoding="utf-8")
    async with connect(table(folder)) as client:
        page = await ask(client, "list_runs")
        told = await ask(client, "get_run", run_id=page["runs"][0]["run_id"])
        assert [run["unit"] for run in page["runs"]] == ["SN-0005"]
        assert "different things of 1 run" in page["services"][0]["note"]
        assert "3 files hold this run; it counts once. They say different things" in told["note"]
        (folder / "a.json").unlink()
        after = await ask(client, "list_runs")
        (folder / "a.json").write_text(written_run(ref, "SN-0005"), encoding="utf-8")
        (folder / "b.json").write_text(written_run(ref, "SN-0007"), encoding="utf-8")
        (folder / "c.json").unlink()
        again = await ask(client, "list_runs")
    assert [run["unit"] for run in after["runs"]] == ["SN-9999"]
    assert not after["services"][0].get("note")
    assert [run["unit"] for run in again["runs"]] == ["SN-0005"]
