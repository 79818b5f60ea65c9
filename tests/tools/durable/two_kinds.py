"""A process that delivers runs and, on the same engine, counts: `two_kinds.py FOLDER [begin]`.

The service is down while there is a file `down`; counting goes on from its second step when there is a file `go`.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testlab_tools.durable.database import open_database
from testlab_tools.durable.engine import Engine
from testlab_tools.errors import ServiceDown
from testlab_tools.models.lab import CreatedRun
from testlab_tools.models.requests import NewRun
from testlab_tools.outbox import delivery
from testlab_tools.outbox.delivery import RetrySchedule
from testlab_tools.outbox.outbox import Outbox
from testlab_tools.outbox.payload import RunPayload, run_adapter

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUN = NewRun("FVT1", "SN-1", "fail", NOON, NOON, "ref-1")


class Sink:
    """A service that notes the runs it is sent."""

    name = "factory"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def create_run(self, run: NewRun) -> CreatedRun:
        if (self.folder / "down").exists():
            raise ServiceDown("factory", "down")
        note(self.folder, f"sent {run.serial_number}")
        return CreatedRun(run_id="factory:1", procedure="FVT1")

    async def find_created(self, run: NewRun) -> CreatedRun | None:
        return None

    async def aclose(self) -> None:
        pass


class Counter:
    """Counts to the number given, a step for each; the second waits until it may go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> int:
        (to,) = inputs
        for number in range(1, to + 1):
            await workflow.step(f"count-{number}", self.count, number)
            await workflow.set_event("counted", number)
        return to

    async def count(self, number: int) -> None:
        while number > 1 and not (self.folder / "go").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)
        note(self.folder, f"counted {number}")

    async def aclose(self) -> None:
        note(self.folder, "closed")


def note(folder: Path, what: str) -> None:
    with (folder / "notes").open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


async def main(folder: Path, begin: bool) -> None:
    engine = Engine(open_database(folder / "deliveries.sqlite"))
    engine.register("count", lambda: Counter(folder))
    schedule = RetrySchedule(first_s=0.05, longest_s=0.05, settle_s=0.05)
    outbox = Outbox(engine, lambda: [Sink(folder)], schedule, hold_s=0.1)  # type: ignore[list-item]
    if begin:
        await asyncio.to_thread(lambda: engine.workflows().enqueue("count", "one", [3]))
        await outbox.send("ref-1", "factory", RunPayload(run=run_adapter().dump_python(RUN, mode="json")))
    outbox.resume()
    await asyncio.to_thread(sys.stdin.read)
    await outbox.aclose()


if __name__ == "__main__":
    delivery.RunSink = Sink  # type: ignore[misc]
    asyncio.run(main(Path(sys.argv[1]), "begin" in sys.argv))
