"""Watches nodes, runs, jobs and what the database keeps for those who listen: one poll of each, however many listen,
ended with the last.

What others read of a node or a job meanwhile is heard at once. A poll asks with no caller's place in the queue; whether
somebody may listen is for who calls `listen`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from testlab_tools.capabilities import JobRunner, NodeInventory, RunArchive, Service
from testlab_tools.errors import LabError, NotFound, Refused
from testlab_tools.http.policy import Backoff, asked_by
from testlab_tools.jobs import JobPoller
from testlab_tools.late_module import LateModule
from testlab_tools.models.jobs import Job
from testlab_tools.models.nodes import Node
from testlab_tools.models.results import RunDetail
from testlab_tools.telemetry import LISTENERS

if TYPE_CHECKING:
    from testlab_tools.campaigns import campaigns, records
    from testlab_tools.watches import subjects, watches

    Stored = campaigns.Campaigns | watches.Watches
    Seen = Node | RunDetail | Job | records.Campaign | subjects.Watch
else:
    campaigns = LateModule("testlab_tools.campaigns.campaigns")
    records = LateModule("testlab_tools.campaigns.records")
    subjects = LateModule("testlab_tools.watches.subjects")
    watches = LateModule("testlab_tools.watches.watches")

POLL_S = 5.0
"""Between two reads of a service's nodes, or of a run that has not ended."""
ENDED_S = 60.0
"""Between two reads of a run that has ended: it can still get files, or be deleted."""
STORED_S = 2.0
"""Between two reads of all campaigns, or of all watches, that are listened to."""
AGAIN = Backoff(POLL_S, ENDED_S, jitter=lambda: 1.0)
"""Between two reads of what cannot be read."""
JOB_WAIT_S = 3600.0
MAX_WATCHED = 200
"""Things that are listened to, by all together."""


class Subject(NamedTuple):
    """What is listened to: a node, run or job of a service, or a campaign or watch of a database, by its native id."""

    source: Service | Stored
    kind: Literal["node", "run", "job", "campaign", "watch"]
    native: str


@dataclass(eq=False)
class _Listener:
    """Who listens, and the state that was last read or told: what changed in between is heard at the next look."""

    heard: Callable[[], None]
    state: object


class Watcher:
    """What is listened to, and the polls of it. A lab has one, and callers' parts of the lab share it."""

    def __init__(self) -> None:
        self.job_poller = JobPoller(self.saw_job)
        self._heard: dict[Subject, list[_Listener]] = {}
        self._polls: dict[Subject, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._heard)

    def listen(self, subject: Subject, read: Seen, heard: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` at each change from what was just `read`, until the returned function is called.

        Raises Refused where too much is listened to.
        """
        if subject not in self._heard:
            if len(self._heard) >= MAX_WATCHED:
                most = f"{MAX_WATCHED} things are the most"
                raise Refused("Too much is listened to", most, "Listen to less, or read it again from time to time.")
            self._heard[subject] = []
        listener = _Listener(heard, _state_of(read))
        self._heard[subject].append(listener)
        LISTENERS.add(1)
        poll = _poll_of(subject)
        if (poll not in self._polls or self._polls[poll].done()) and not has_ended(read):
            # In a context of its own: it is neither asked for nor traced as the call of who listened first.
            self._polls[poll] = asyncio.get_running_loop().create_task(self._poll(subject), context=Context())
        return partial(self._stop, subject, listener)

    def saw_nodes(self, nodes: Iterable[tuple[Service, Node]]) -> None:
        """Nodes have been read, for whatever reason, each with its service."""
        if self._heard:
            for service, node in nodes:
                self._saw(Subject(service.unscoped, "node", service.native(node.node_id)), node)

    def saw_job(self, runner: JobRunner, job: Job) -> None:
        """A job has been read, for whatever reason."""
        if self._heard:
            self._saw(Subject(runner.unscoped, "job", runner.native(job.job_uid)), job)

    async def aclose(self) -> None:
        """End every poll."""
        polls = list(self._polls.values())
        self._heard.clear()
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    def _stop(self, subject: Subject, listener: _Listener) -> None:
        listeners = self._heard.get(subject, [])
        if listener in listeners:
            listeners.remove(listener)
            LISTENERS.add(-1)
        if subject in self._heard and not listeners:
            del self._heard[subject]
        poll = _poll_of(subject)
        if poll in self._polls and not any(_poll_of(other) == poll for other in self._heard):
            self._polls.pop(poll).cancel()

    def _saw(self, subject: Subject, read: Seen | None) -> None:
        """What was read of a subject; None where it is not there (any more)."""
        state = None if read is None else _state_of(read)
        for listener in list(self._heard.get(subject, ())):
            if listener.state != state:
                listener.state = state
                listener.heard()

    async def _poll(self, subject: Subject) -> None:
        look: Callable[[], Awaitable[float]]
        match subject:
            case Subject(NodeInventory() as farm, "node"):
                look, pause = partial(self._look_at_nodes, farm), POLL_S
            case Subject(JobRunner() as runner, "job", native):
                look, pause = partial(self._wait_for_job, runner, native), 0.0
            case Subject(RunArchive() as archive, "run", native):
                look, pause = partial(self._look_at_run, archive, native), POLL_S
            case Subject(campaigns.Campaigns() | watches.Watches() as stored):
                look, pause = partial(self._look_at_stored, stored), STORED_S
            case _:
                raise AssertionError(f"there is no {subject.kind} at its source")
        troubles = 0
        while pause >= 0:
            await asyncio.sleep(pause)
            try:
                pause, troubles = await look(), 0
            except NotFound:
                self._saw(subject, None)
                pause = ENDED_S
            except LabError as trouble:
                troubles += 1
                pause = AGAIN.pause(troubles, asked_by(trouble))

    async def _look_at_nodes(self, farm: NodeInventory) -> float:
        """Read all nodes of a farm at once; the pause before the next look."""
        found = {farm.native(node.node_id): node for node in await farm.list_nodes()}
        for subject in [one for one in self._heard if (one.source, one.kind) == (farm, "node")]:
            self._saw(subject, found.get(subject.native))
        return POLL_S

    async def _look_at_run(self, archive: RunArchive, native: str) -> float:
        detail = await archive.get_run(native)
        self._saw(Subject(archive, "run", native), detail)
        return POLL_S if detail.run.outcome == "running" else ENDED_S

    async def _wait_for_job(self, runner: JobRunner, native: str) -> float:
        """Wait with whoever waits for the job. Negative once it has ended: it will not change again."""
        job = await self.job_poller.wait(runner, native, JOB_WAIT_S, _ignore_progress)
        return -1.0 if job.finished else POLL_S

    async def _look_at_stored(self, stored: Stored) -> float:
        """Read all that is listened to of a kind in one query. Negative once all of it has ended."""
        mine = [subject for subject in self._heard if subject.source is stored]
        found = await stored.read_all([subject.native for subject in mine])
        for subject in mine:
            self._saw(subject, found.get(subject.native))
        now = [found.get(subject.native) for subject in self._heard if subject.source is stored]
        return -1.0 if all(read is not None and has_ended(read) for read in now) else STORED_S


def has_ended(read: Seen) -> bool:
    """Whether what was read will not change again."""
    match read:
        case Node() | RunDetail():
            return False
        case Job():
            return read.finished
        case records.Campaign():
            return read.ended
        case subjects.Watch():
            return read.state != "watching"


def _poll_of(subject: Subject) -> Subject:
    """What is polled for a subject: all nodes of a service in one request, all of a kind in a database in one query."""
    return subject._replace(native="") if subject.kind in ("node", "campaign", "watch") else subject


def _state_of(read: Seen) -> object:
    """What makes a change, the same for every caller."""
    match read:
        case Node():
            state = "reserved" if read.state == "reserved by you" else read.state
            held = read.reservation
            holds = held and (held.reservation_id, held.holder, held.expires_at, held.message)
            return (state, read.name, read.why, holds, read.job)
        case Job():
            return (read.finished, read.passed, read.failed, read.errored, read.total)
        case RunDetail():
            return hash(read.model_dump_json())  # of each listener; a run may be large
        case records.Campaign():
            return (read.state, *(getattr(read, counter) for counter in records.COUNTERS))
        case subjects.Watch():
            return read.state


async def _ignore_progress(done: float, total: float, words: str) -> None:
    """The poll hears of each read."""
