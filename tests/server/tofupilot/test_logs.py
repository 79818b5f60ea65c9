"""Logs of TofuPilot's runs, put together from the entries that v2 lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.conftest import Factory


async def test_a_log_of_many_pages_is_read_in_order(factory: Factory, connect: Connect, ask: ToolCaller) -> None:
    lines = [
        {
            "level": "ERROR" if n == 150 else "INFO",
            "timestamp": f"2026-11-20T08:{n // 60:02d}:{n % 60:02d}Z",
            "message": f"step {n}",
            "source_file": "fct.py",
            "line_number": n,
        }
        for n in range(230)
    ]
    run = factory.record(factory.serial(), logs=lines)
    async with connect(factory.config("v2")) as client:
        tail = await ask(client, "read_log", run_id=f"factory:{run}", tail=2)
        found = await ask(client, "read_log", run_id=f"factory:{run}", search="error", context=1, tz="Europe/London")
    assert tail["total_lines"] == 230
    assert tail["lines"].splitlines() == [
        "229:2026-11-20T08:03:48.000+00:00 INFO fct.py:228 step 228",
        "230:2026-11-20T08:03:49.000+00:00 INFO fct.py:229 step 229",
    ]
    assert found["matches"] == 1
    assert [line.rpartition(" ")[2] for line in found["lines"].splitlines()] == ["149", "150", "151"]


async def test_a_run_without_a_log_has_an_empty_one_and_one_that_is_not_there_none(
    factory: Factory, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    run = factory.record(factory.serial())
    async with connect(factory.config("v2")) as client:
        assert (await ask(client, "read_log", run_id=f"factory:{run}"))["total_lines"] == 0
        missing = run.replace(run[:8], "00000000")
        assert "no such run" in await refused(client, "read_log", run_id=f"factory:{missing}")
        assert "no such run" in await refused(client, "read_log", run_id="factory:nonsense")
