"""A handle that is given out reads the run back, and no other, though v1's list tells no ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.strict.conftest import Strict

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
DURABLE = pytest.mark.parametrize("durable", [True, False], ids=["durable", "at once"])
OLD = "factory:SN-1/2024-09-05T08:38:17.115000+00:00"


@DURABLE
@VERSIONS
async def test_runs_of_a_unit_that_began_together_have_handles_of_their_own(
    version: str,
    durable: bool,
    strict: Strict,
    run_of: Callable[..., dict[str, Any]],
    connect: Connect,
    ask: ToolCaller,
) -> None:
    async with connect(strict.config(version, durable)) as client:
        made = [
            (await ask(client, "create_run", **run_of("SN-1", outcome=outcome)))["run_id"]
            for outcome in ("pass", "fail")
        ]
        assert len(set(made)) == len(strict.of("SN-1")) == 2
        read = [(await ask(client, "get_run", run_id=handle))["run"] for handle in made]
        assert [(run["outcome"], run["run_id"]) for run in read] == [("pass", made[0]), ("fail", made[1])]
        listed = (await ask(client, "list_runs", unit="SN-1"))["runs"]
        assert len({run["run_id"] for run in listed}) == 2
        for run in listed:
            assert (await ask(client, "get_run", run_id=run["run_id"]))["run"].items() >= run.items()
        failed = (await ask(client, "get_failed_cases", run_id=made[1]))["runs"]
        assert [run["outcome"] for run in failed] == ["fail"]


async def test_a_run_that_was_created_can_be_deleted_and_given_files_where_the_list_tells_no_ids(
    strict: Strict, run_of: Callable[..., dict[str, Any]], connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    async with connect(strict.config("v1")) as client:
        kept = await ask(client, "create_run", **run_of("SN-1", outcome="fail"))
        gone = await ask(client, "create_run", **run_of("SN-1"), attachments=["a.txt"])
        assert [file["name"] for file in strict.runs[1]["files"]] == ["a.txt"]
        await ask(client, "delete_run", run_id=gone["run_id"], confirm=gone["run_id"])
        assert [run["passed"] for run in strict.runs] == [False]
        assert (await ask(client, "get_run", run_id=kept["run_id"]))["run"]["outcome"] == "fail"


async def test_a_handle_of_an_earlier_version_reads_the_only_run_of_its_start(
    strict: Strict, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    strict.record("SN-1", passed=False)
    async with connect(strict.config("v1")) as client:
        assert (await ask(client, "get_run", run_id=OLD))["run"]["outcome"] == "fail"
        strict.record("SN-1")
        told = await refused(client, "get_run", run_id=OLD)
    assert "has 2 runs of the unit that began then, and the id does not say which" in told


async def test_runs_that_nothing_tells_apart_are_said_to_be_so(
    strict: Strict, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    strict.record("SN-1")
    strict.record("SN-1")
    async with connect(strict.config("v1")) as client:
        for run in (await ask(client, "list_runs", unit="SN-1"))["runs"]:
            assert "began then" in await refused(client, "get_run", run_id=run["run_id"])


@pytest.mark.parametrize("left_out", ["createdAt", "createdBy", "duration", "phases"])
async def test_what_the_list_may_leave_out_changes_nothing(
    left_out: str, strict: Strict, run_of: Callable[..., dict[str, Any]], connect: Connect, ask: ToolCaller
) -> None:
    strict.left_out = (left_out,)
    async with connect(strict.config("v1")) as client:
        made = [
            (await ask(client, "create_run", **run_of("SN-1", outcome=outcome)))["run_id"]
            for outcome in ("pass", "fail")
        ]
        read = [(await ask(client, "get_run", run_id=handle))["run"]["outcome"] for handle in made]
    assert read == ["pass", "fail"]


async def test_a_unit_whose_runs_do_not_say_how_they_ended_is_not_shipped(
    strict: Strict, connect: Connect, ask: ToolCaller
) -> None:
    strict.left_out = ("status",)
    strict.record("SN-1", passed=False)
    async with connect(strict.config("v1")) as client:
        told = await ask(client, "get_unit", serial_number="SN-1")
    assert told["ship"] == "do not ship"
    assert "does not tell how a run of the unit ended" in told["services"][0]["error"]
