"""The portal's state: nodes, jobs and reservations, and the rules about who may do what to them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from testlab_sim.stbtester.artifacts import Artifacts
from testlab_sim.stbtester.history import seeded_jobs
from testlab_sim.stbtester.jobs import Job, Run
from testlab_sim.stbtester.nodes import COLLEAGUES, YOURS, Node, seeded_nodes
from testlab_sim.stbtester.reservations import Reservation, Reservations
from testlab_sim.stbtester.screens import Screen, screen_of, screen_of_remote
from testlab_sim.stbtester.service import Refusal
from testlab_sim.world import Clock


@dataclass
class Holds:
    """How long the long polls hold, in real seconds. The vendor's portal answers 202 after 55 s."""

    await_completion: float = 55.0
    stop: float = 55.0
    stopping: float = 0.0
    """How long a job takes to stop: a node uploads its artifacts first."""


@dataclass
class Portal:
    """Stb-tester's part of the world. Build it with `Portal.seeded`."""

    clock: Clock
    seed: int
    nodes: dict[str, Node]
    jobs: dict[str, Job]
    reservations: Reservations = field(default_factory=Reservations)
    holds: Holds = field(default_factory=Holds)
    artifacts: Artifacts = field(default_factory=Artifacts)
    _latest: dict[str, Job] = field(default_factory=dict[str, Job])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def seeded(cls, seed: int, clock: Clock) -> Portal:
        now = clock.now()
        nodes = seeded_nodes(now)
        jobs = seeded_jobs(nodes, seed, now)
        portal = cls(clock, seed, {n.node_id: n for n in nodes}, {j.uid: j for j in jobs})
        portal._latest = {job.node_id: job for job in jobs}
        portal._reserve_as_seeded(now)
        return portal

    def _reserve_as_seeded(self, now: float) -> None:
        yours, colleagues = (self.named(name) for name in (YOURS, COLLEAGUES))
        self.reservations.make([yours.node_id], "you", "Checking the Roku remote mapping", now - 900, 8 * 3600)
        message = "Overnight **DVR soak**\n\nSee [LAB-417](https://tracker.example.com/LAB-417) for details"
        self.reservations.make([colleagues.node_id], "colleague", message, now - 3600, 13 * 3600)
        yours.used("you", now - 900)
        colleagues.used("colleague", now - 3600)

    def node(self, node_id: str) -> Node:
        node = self.nodes.get(node_id)
        if node is None:
            raise Refusal(404, f"Unknown node_id {node_id!r}")
        return node

    def named(self, friendly_name: str) -> Node:
        return next(node for node in self.nodes.values() if node.friendly_name == friendly_name)

    def job_on(self, node_id: str) -> Job | None:
        """The job running on a node, or the last that ran there."""
        return self._latest.get(node_id)

    def held_by_other(self, node_id: str, username: str) -> Reservation | None:
        held = self.reservations.on(node_id, self.clock.now())
        return held if held is not None and held.username != username else None

    def busy(self, node_id: str) -> Job | None:
        job = self.job_on(node_id)
        return job if job is not None and job.running(self.clock.now()) else None

    def unavailable(self, node: Node) -> str | None:
        """Why a node cannot be reserved now, in the portal's words; None if it can."""
        if not node.online:
            return f"Node {node.node_id} is offline"
        if not node.licensed:
            return f"Node {node.node_id} licence expired on {node.licence_expiry}"
        if held := self.reservations.on(node.node_id, self.clock.now()):
            return f"Node {node.node_id} reserved by @{held.username}"
        if job := self.busy(node.node_id):
            return f"Node {node.node_id} is running test job {job.uid} started by @{job.username}"
        if node.updating:
            return f"Node {node.node_id} has a pending software update"
        return None

    def start(self, job: Job) -> Job:
        self.jobs[job.uid] = self._latest[job.node_id] = job
        return job

    def stop(self, job: Job) -> None:
        """Ask a job to stop; asking again changes nothing."""
        now = self.clock.now()
        if job.running(now) and job.stopped_at is None:
            job.stopped_at = now + self.holds.stopping
            self.notify()

    async def wait(self, job: Job, seconds: float) -> bool:
        """Wait until the job has ended, but no longer than `seconds`; whether it has ended."""
        deadline = asyncio.get_running_loop().time() + seconds
        while job.running(now := self.clock.now()):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, job.ends_in(now) + 0.001)):
                    await self._changed.wait()
        return True

    def notify(self) -> None:
        """Wake every long poll: a job was stopped, or the clock or a hold was changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    def runs(self) -> list[Run]:
        """Finished runs that nobody deleted, in no particular order."""
        now = self.clock.now()
        return [run for job in self.jobs.values() for run in job.runs(now) if not run.deleted]

    def run(self, result_id: str) -> Run | None:
        """The finished run with this id, deleted or not."""
        uid, _, stamp = result_id.rpartition("/")
        job = self.jobs.get(uid)
        return next((run for run in job.runs(self.clock.now()) if run.stamp == stamp), None) if job else None

    def screen(self, node: Node) -> Screen:
        """What the node's device shows now."""
        now = self.clock.now()
        job = self.job_on(node.node_id)
        run = job.current(now) if job else None
        if now >= node.picture_until:
            return screen_of("no_signal", node.node_id, now, 0.0, None)
        if job is None or run is None or now < run.start:
            return screen_of_remote(node.remote, now)
        case = job.revision.cases.get(run.test_case)
        done = (now - run.start) / max(run.end - run.start, 0.001)
        return screen_of(case.screen if case else "home", run.result_id, now, done, None)
