"""Fifty who want one of five nodes, while the process that serves them is killed at random moments and another takes
over: everybody is served once, in their order, and nothing stays reserved. `./do crash` kills more of them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from testlab_tools.durable.database import open_database
from testlab_tools.durable.workflows import Workflows
from testlab_tools.node_queue.store import TicketStore
from testlab_tools.node_queue.tickets import NodeRequest, Ticket
from tests.lab_processes import LabProcess
from tests.postgresql import fresh_database

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm

PROGRAM = Path(__file__).with_name("line_process.py")
KILLS = 20 if os.environ.get("TESTLAB_CRASH") == "whole" else 3
CONTENDERS = 50
LONGEST_S = 120.0
HOLDS_LOCK = """SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted
AND datname = current_database() AND application_name = %s"""


class Line:
    """The tickets as others see them, and the processes that serve them."""

    def __init__(self, farm: Farm, folder: Path, place: Path | str) -> None:
        (folder / "config.toml").write_text(farm.table)
        self._folder = folder
        self._place = place
        self.workflows = Workflows(open_database(place))
        self.store = TicketStore(self.workflows)
        self.processes: list[subprocess.Popen[str]] = []
        self.unsure: set[str] = set()

    def start(self) -> None:
        """One more process, which serves the line once those before it are dead."""
        place = (
            self._place if isinstance(self._place, Path) else f"{self._place}?application_name={len(self.processes)}"
        )
        command = [sys.executable, str(PROGRAM), str(self._folder / "config.toml"), str(place)]
        pipe = subprocess.PIPE
        self.processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))

    def kill(self) -> None:
        """Kill the process that serves the line; what it was just about to reserve is `unsure`."""
        process = self._leader()
        process.kill()
        process.communicate()
        self.unsure |= {entry.ticket.ticket_id for entry in self.store.active("portal") if entry.intent}

    def _leader(self) -> subprocess.Popen[str]:
        """The process that holds the leader's lock, once one does."""
        deadline = time.monotonic() + LONGEST_S
        while True:
            for process in self.processes:
                if process.poll() is None and self._leads(process):
                    return process
            assert time.monotonic() < deadline, "nobody leads"
            time.sleep(0.02)

    def _leads(self, process: subprocess.Popen[str]) -> bool:
        if isinstance(self._place, Path):
            return self._place.with_name("d.sqlite.lock").read_text() == str(process.pid)
        with psycopg.connect(self._place) as session:
            name = str(self.processes.index(process))
            return session.execute(HOLDS_LOCK, (name,)).fetchone() is not None


@pytest.fixture
def farm() -> Iterator[Farm]:
    """A farm of its own with five free nodes."""
    from tests.server.nodes.conftest import Farm

    with LabProcess() as lab:
        four = Farm(lab)
        (mine,) = [r for n in four.you.get("/nodes").json() if (r := n["reservation"]) and r["reserved_by_you"]]
        four.you.delete(f"/reservations/{mine['reservation_id']}").raise_for_status()
        five = Farm(lab)
        assert len(five.nodes) == 5
        yield five
        four.close()
        five.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """Where the tickets are: windows of one machine share a file, replicas a PostgreSQL server."""
    if request.param == "sqlite":
        yield tmp_path / "d.sqlite"
    else:
        with fresh_database() as url:
            yield url


@pytest.fixture
def line(farm: Farm, tmp_path: Path, place: Path | str) -> Iterator[Line]:
    made = Line(farm, tmp_path, place)
    yield made
    for process in made.processes:
        process.kill()
        with suppress(ValueError):
            process.communicate()
    made.workflows.close()


def submit_all(line: Line, farm: Farm) -> list[str]:
    request = NodeRequest(
        service="portal", node_ids=tuple(farm.nodes[:5]), count=1, message="m", duration_s=600, caller="local"
    )
    ids = [f"ticket-{number:02}" for number in range(CONTENDERS)]
    for ticket_id in ids:
        line.store.submit(request, ticket_id, time.time(), 3600)
    return ids


def serve_all(line: Line, farm: Farm, often: Callable[[int], None]) -> dict[str, Ticket]:
    """Take each node that is granted, and give it back at once; `often` is called with how many were."""
    served: dict[str, Ticket] = {}
    deadline = time.monotonic() + LONGEST_S
    while len(served) < CONTENDERS:
        assert time.monotonic() < deadline, f"{len(served)} served"
        for entry in line.store.active("portal"):
            ticket = entry.ticket
            if ticket.state != "granted":
                continue
            assert ticket.ticket_id not in served
            assert line.store.note_collected(ticket.ticket_id, time.time())
            served[ticket.ticket_id] = ticket
            ((reservation, _, _),) = ticket.reservations
            farm.you.delete(f"/reservations/{reservation}").raise_for_status()
            line.store.end(ticket.ticket_id, "ended", "", time.time(), give_back=False)
        often(len(served))
        time.sleep(0.01)
    return served


def test_everybody_is_served_once_in_order_whenever_the_process_is_killed(line: Line, farm: Farm) -> None:
    seed = int(os.environ.get("TESTLAB_SEED", "18"))
    moments = sorted(random.Random(seed).sample(range(2, CONTENDERS - 2), KILLS))
    ids = submit_all(line, farm)
    line.start()
    line.start()

    def kill_in_between(served: int) -> None:
        if moments and served >= moments[0]:
            moments.pop(0)
            time.sleep(random.Random(served).random() * 0.1)
            line.kill()
            line.start()

    served = serve_all(line, farm, kill_in_between)
    assert not moments
    made = [int(ticket.reservations[0].reservation_id) for ticket in served.values()]
    assert len(set(made)) == CONTENDERS, "no reservation was given to two"
    in_order = sorted(served, key=lambda ticket_id: int(served[ticket_id].reservations[0].reservation_id))
    sure = [ticket_id for ticket_id in in_order if ticket_id not in line.unsure]
    assert sure == [ticket_id for ticket_id in ids if ticket_id not in line.unsure]
    assert [farm.held(number) for number in range(5)] == [None] * 5, "nothing stays reserved"
