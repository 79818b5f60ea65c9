"""Fixtures: a call of every tool, of every service that has it, and what it takes to go through them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from mcp import Client
from mcp_types import TextContent

from tests.fixture_types import Connect
from tests.tool_calls import BENCH, CLOUD, FACTORY, OLD, PORTAL, Row, fictional_names
from tests.tool_samples import SIMULATED

if TYPE_CHECKING:
    from tests.server.faults.conftest import Judge, Plant

ASKING = [sample for sample in SIMULATED.values() if sample.toolset != "campaigns"]
"""Tools that ask a service within the call. What goes on afterwards meets the same faults in tests/server/campaigns."""
HASTY_S = 2.5
"""Of services whose slowness is what is tested."""
PATIENT_S = 40.0
"""Of others, as in `tests/server/faults/conftest.py`."""
AT_ONCE = 16


class Held(NamedTuple):
    """What this process holds: open files and connections, and threads besides idle workers."""

    files: frozenset[str]
    threads: frozenset[str]

    def more_than(self, before: Held) -> list[str]:
        """What was not held before."""
        return sorted((self.files - before.files) | (self.threads - before.threads))


Allowed = Callable[[Row], frozenset[str]]


class Round:
    """All tools, called while their services are in some trouble, and again once it has ended."""

    def __init__(
        self,
        plant: Plant,
        judge: Judge,
        connect: Connect,
        rows_for: Callable[[Any, str], Awaitable[list[Row]]],
        folder: Path,
        kept: list[Row],
    ) -> None:
        self._kept = kept
        self.plant = plant
        self._judge = judge
        self._connect = connect
        self._rows_for = rows_for
        self._folder = str(folder)

    async def kept_rows(self) -> list[Row]:
        """A call of every tool, the same for all tests of a file that change nothing."""
        if not self._kept:
            self._kept += await self.rows("kept")
        return self._kept

    async def rows(self, name: str) -> list[Row]:
        """A call of every tool."""
        async with self._connect(self.plant.config(self.plant.root, self._folder)) as client:
            rows = await self._rows_for(client, name)
        assert {row.tool for row in rows} == {sample.tool for sample in ASKING if sample.services}
        return rows

    async def through(
        self, name: str, faults: list[dict[str, object]], allowed: Allowed, *, hasty: bool = False
    ) -> None:
        """Strike every tool in a lane of its own, end the fault, and call every tool again.

        Where slowness is the fault, what is called again has other time-outs, which no machine is too slow for.
        """
        root = f"{self.plant.root}/_lane/{name}"
        rows = await self.rows(name)
        before = _held()
        for fault in faults:
            self.plant.disturb(name, **fault)
        self._judge.cell(len(rows))
        config = self.plant.config(root, self._folder, HASTY_S if hasty else PATIENT_S)
        async with self._connect(config) as client:
            wrong = await self.strike(client, rows, allowed)
            self.plant.calm(name)
            for exported in Path(self._folder).glob("*.csv"):  # of a unit that the service was said not to know
                exported.unlink()
            if not hasty:
                wrong += await self.strike(client, rows, works, AT_ONCE)
        if hasty:
            async with self._connect(self.plant.config(root, self._folder)) as client:
                wrong += await self.strike(client, rows, works, AT_ONCE)
        self._told([*wrong, *(f"still held: {left}" for left in await _left_of(before))])

    async def elsewhere(self, allowed: Allowed, root: str = "", urls: Mapping[str, str] = {}) -> None:
        """Call every tool, its services at a wrong root, or at wrong `urls`."""
        rows = await self.kept_rows()
        before = _held()
        self._judge.cell(len(rows))
        async with self._connect(self.plant.config(root or self.plant.root, self._folder, urls=urls)) as client:
            wrong = await self.strike(client, rows, allowed)
        self._told([*wrong, *(f"still held: {left}" for left in await _left_of(before))])

    async def strike(self, client: Client, rows: Iterable[Row], allowed: Allowed, at_once: int = 1_000) -> list[str]:
        """Call all rows, many at once; what is wrong with their answers. Nothing goes on afterwards."""
        places, tasks, rows = asyncio.Semaphore(at_once), len(asyncio.all_tasks()), list(rows)

        async def called(row: Row) -> Any:
            async with places:
                return await self._judge.call(client, row.tool, row.arguments)

        answers = await asyncio.gather(*(called(row) for row in rows))
        await self._settled(tasks)
        return [w for row, answer in zip(rows, answers, strict=True) for w in self._wrong(row, answer, allowed(row))]

    def _wrong(self, row: Row, result: Any, allowed: frozenset[str]) -> list[str]:
        wrong: list[str] = self._judge.words(row.tool, row.service, result)
        if not row.arguments:  # it asks every service that has it, and any of them may be to blame
            wrong = [said for said in wrong if " blames " not in said]
        if (kind := self._judge.class_of(result)) not in allowed:
            named = f"{row.tool} of {row.service} {sorted(row.arguments)}"
            wrong.append(f"{named}: {kind} is not one of {sorted(allowed)}: {self._judge.text_of(result)[:300]}")
        return wrong

    async def _settled(self, tasks: int) -> None:
        """Until the lab answers nothing any more and no task is left over; what stays is a leak."""
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) > tasks or await asyncio.to_thread(self.plant.open_requests):
                await asyncio.to_thread(threading.Event().wait, 0.02)

    def _told(self, wrong: list[str]) -> None:
        assert not wrong, "\n".join([f"{len(wrong)} cells are wrong", *wrong])


def works(row: Row) -> frozenset[str]:
    """A tool that looks must succeed; a change may have been made by the call before."""
    return frozenset({"ok", "NotFound", "Gone", "Conflict", "Refused", "BadInput"} if row.changes else {"ok"})


@pytest.fixture
def tools(
    plant: Plant,
    judge: Judge,
    connect: Connect,
    rows_for: Callable[[Any, str], Awaitable[list[Row]]],
    tmp_path: Path,
    kept: list[Row],
    impatient: None,
) -> Round:
    """What it takes to go through the tools."""
    return Round(plant, judge, connect, rows_for, tmp_path, kept)


@pytest.fixture(scope="module")
def kept() -> list[Row]:
    """What a file's tests call again and again."""
    return []


@pytest.fixture
def rows_for(plant: Plant) -> Callable[[Any, str], Awaitable[list[Row]]]:
    """A call of every tool, of every service that has it, about things that are there; ask with a client of a calm
    lab. Nodes, reservations and jobs are as new."""

    async def rows(client: Client, name: str) -> list[Row]:
        await asyncio.to_thread(plant.clear)
        serial = f"SN-{name}"
        await asyncio.to_thread(plant.record, serial)
        names = {
            PORTAL: await _on_portal(client, plant, name),
            FACTORY: await _in_factory(client, plant, FACTORY, serial),
            OLD: await _in_factory(client, plant, OLD, serial),
            CLOUD: await _in_cloud(client),
            BENCH: await _on_bench(client),
        }
        return [
            row
            for sample in ASKING
            for row in sample.fault_rows({service: {"n": name, **known} for service, known in names.items()})
        ]

    return rows


async def _newest(client: Client, **asked: str) -> str:
    listed = await client.call_tool("list_runs", {**asked, "limit": 1})
    return listed.structured_content["runs"][0]["run_id"]


async def _on_portal(client: Client, plant: Plant, name: str) -> dict[str, str]:
    """Nodes, reservations and jobs for the samples' calls, none of which is in the way of another."""
    run = await _newest(client, service=PORTAL, outcome="fail")
    tests = await client.call_tool("list_test_cases", {"revision": "main", "service": PORTAL})
    case = tests.structured_content["test_cases"][0]
    files = (await client.call_tool("get_artifact", {"run_id": run})).structured_content["artifacts"]
    free = [node["node_id"] for node in plant.nodes() if node["available"]]
    return {
        "run": run,
        "case": case,
        "artifact": min(files, key=lambda file: file.get("size", 0))["name"],
        "node": free[0],
        "reservation": plant.reserve("you", free[0]),
        "ending_reservation": plant.reserve("you", free[1]),
        "their_node": f"{PORTAL}:{free[2]}",
        "their_reservation": f"{PORTAL}:{plant.reserve('colleague', free[2])}",
        "busy_node": free[3],
        "revision": "main",
        "job": plant.occupy(free[3], case),
        "idle_node": free[4],
        "free_node": free[5],
    }


async def _in_factory(client: Client, plant: Plant, service: str, serial: str) -> dict[str, str]:
    """A unit that is looked at, and one that is changed, with its only run."""
    unit = f"{serial}-{service}"
    seen = await _newest(client, service=service, **({"unit": serial} if service == OLD else {"outcome": "fail"}))
    run = await asyncio.to_thread(plant.record, unit)
    told = await client.call_tool("delete_unit", {"serial_number": unit, "service": service})
    texts = [block.text for block in told.content if isinstance(block, TextContent)]
    agreed = re.search(r"confirm='([^']+)'", texts[0])
    return {
        "run": seen,
        "serial": serial,
        "part": serial,
        "unit": unit,
        "own_run": f"{service}:{run}" if service == FACTORY else await _newest(client, service=service, unit=unit),
        "agreed": agreed[1] if agreed else "",
        "new_unit": f"{unit}-new",
        "procedure": plant.procedure,
    }


async def _in_cloud(client: Client) -> dict[str, str]:
    run = await _newest(client, service=CLOUD, outcome="fail")
    whole = await client.call_tool("get_run", {"run_id": run})
    return {"run": run, "serial": whole.structured_content["run"]["unit"]}


async def _on_bench(client: Client) -> dict[str, str]:
    """A run that failed, the job it was of, and a test that takes no time; no dialog waits."""
    run = await _newest(client, service=BENCH, outcome="fail")
    whole = (await client.call_tool("get_run", {"run_id": run})).structured_content["run"]
    job = whole["job_uid"].removeprefix(f"{BENCH}:")
    nodes = dict.fromkeys(("node", "idle_node", "busy_node"), f"{BENCH}:{BENCH}")
    known = {"run": run, "serial": whole["unit"], "job": job, "case": "test_1_power::test_identify", **nodes}
    return fictional_names(BENCH) | known


async def _left_of(before: Held) -> list[str]:
    """What is held that was not before, and stays: a connection closes in some turns of its loop."""
    for _ in range(100):
        if not (left := _held().more_than(before)):
            return []
        gc.collect()  # what nobody holds any more, but in a circle, is closed by that
        await asyncio.to_thread(threading.Event().wait, 0.05)
    return left


def _held() -> Held:
    """What this process holds now."""
    workers = ("AnyIO worker", "asyncio_")
    threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith(workers)]
    return Held(frozenset(_open_files()), frozenset(threads))


def _open_files() -> Iterator[str]:
    """What is open, but for the event loop's own; sockets have names of their own."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing itself
            yield os.readlink(f"/proc/self/fd/{number}")
