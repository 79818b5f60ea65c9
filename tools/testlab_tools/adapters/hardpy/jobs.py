"""The stand as a runner of its tests. A job is one start; its id is when its first test began, in seconds since 1970.

`start` and `stop` are GETs there, and are sent once: what becomes of them is seen in the live state. The panel has no
accounts, so whose job it is, it does not tell; those that were started here are known.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from testlab_tools.adapters.hardpy.models import StateDocument
from testlab_tools.adapters.hardpy.runs import JOB_DIGITS, uid_of
from testlab_tools.adapters.hardpy.store import EndedRun, Store, is_run, to_moment
from testlab_tools.adapters.hardpy.test_pack import Pack
from testlab_tools.capabilities import JobOwner, JobRunner
from testlab_tools.errors import (
    AnswerLost,
    BadInput,
    BadReply,
    Conflict,
    LabError,
    NotFound,
    RateLimited,
    ServiceDown,
)
from testlab_tools.http import ServiceClient
from testlab_tools.http.policy import look_up
from testlab_tools.models.jobs import Job
from testlab_tools.models.requests import TestOrder

SELECTED = "The panel's selection, which cannot be read, was replaced for this start; now all tests are selected."
STILL = "The panel still has these tests selected: all could not be selected again."


class Jobs(Pack, JobRunner):
    """Starts the stand's tests, follows and stops them."""

    begin_seconds = 25.0
    """As long as the test process may take to its first test; a bench's tests import its drivers."""
    stop_again_seconds = 30.0
    """A second stop could strike the tests while they write down how they ended."""
    stop_looks = (0.2, 0.3, 0.5, 1.0, 1.0)

    def __init__(self, name: str, client: ServiceClient) -> None:
        super().__init__(name, client)
        self._started_here: set[str] = set()
        self._stopped: dict[str, float] = {}

    def owns_job(self, job_uid: str) -> bool:
        return is_run(job_uid) and len(job_uid) <= JOB_DIGITS

    async def run_tests(self, node_id: str, order: TestOrder) -> Job:
        self.check_node(node_id)
        arguments = self._arguments_of(order)
        await self._await_rest()
        before = {run.run_id for run in (await self.read_store(fresh=True)).runs}
        find = partial(self._find_begun, before)
        async with self.rewriting:
            await self.select(order.test_cases)
            try:
                answer = await self.order("/api/start", "the start", "started", "busy", params=arguments)
            except (AnswerLost, ServiceDown, BadReply) as lost:
                return await self._look_up_started(find, lost)
            if answer == "busy":
                raise await self._refused()
            try:
                await self.send_selection([])
                note = SELECTED
            except LabError:
                note = STILL
            job = await self._await_begin(find)
        return job.model_copy(update={"note": note})

    async def _await_rest(self) -> None:
        """Until the panel is done with what follows a run that has ended. Raises Conflict when it runs another."""
        until = time.monotonic() + self.unseen_seconds
        while await self.is_busy():
            store = await self.read_store(fresh=True)
            ended = store.live is not None and store.of_job(uid_of(store.live)) is not None
            if not ended or time.monotonic() >= until:
                raise await self.conflict()
            await asyncio.sleep(self.look_seconds)
        if await self.is_choosing():
            raise await self.conflict(choosing=True)

    def _arguments_of(self, order: TestOrder) -> dict[str, str | int | list[str]]:
        """The order's tags as the tests' start arguments. Raises BadInput for what a panel has not."""
        self.check_revision(order.test_pack_revision)
        given = {"remote_control": order.remote_control, "category": order.category}
        other = [name for name, value in given.items() if value]
        other += [name for name, value in {"soak": order.soak, "shuffle": order.shuffle}.items() if value]
        if other:
            raise BadInput(
                f"A HardPy panel takes no {' and no '.join(other)}", "", "Leave it out. tags are start arguments."
            )
        if any("=" in name or not name for name, _ in order.tags):
            raise BadInput("A start argument's name is empty, or has an = in it", "", "Give it another name in tags.")
        return {"args": [f"{name}={value}" for name, value in order.tags]} if order.tags else {}

    async def _refused(self) -> Conflict:
        """`busy`: somebody was quicker, and may have started what was selected here."""
        return await self.conflict(choosing=not await self.is_busy() and await self.is_choosing())

    async def _await_begin(self, find: Callable[[], Awaitable[Job | None]]) -> Job:
        """The job, once its first test has begun.

        Raises:
            BadReply: its process has ended without a test.
            AnswerLost: it still has not begun.
        """
        until = time.monotonic() + self.begin_seconds
        while time.monotonic() < until:
            busy = await self.is_busy()
            if (job := await find()) is not None:
                self._started_here.add(self.native(job.job_uid))
                return job
            if not busy:
                raise BadReply(
                    self.name,
                    f"{self.name} started the tests, and their process ended before the first of them",
                    "Its conftest or a module may not import",
                    "No test has run. The panel's own console says why.",
                )
            await asyncio.sleep(self.look_seconds)
        raise AnswerLost(
            self.name,
            f"{self.name} started the tests, and none has begun within {self.begin_seconds:g} s",
            "Its test process still runs",
            f"get_job(node_id={self.node!r}) shows it; do not call run_tests again before.",
            find,
        )

    async def _find_begun(self, before: set[str]) -> Job | None:
        """The job that has begun since the tests were selected; one that has ended already is the first in the history
        since then."""
        store = await self.read_store(fresh=True)
        since = [run for run in store.runs if run.run_id not in before and run.started is not None]
        if since:
            return self._ended(since[-1])
        live = store.live
        return None if live is None or live.start_time is None else self._job_of(live, await self.is_busy(), None)

    async def _look_up_started(self, find: Callable[[], Awaitable[Job | None]], lost: LabError) -> Job:
        """What became of a start that was not answered. It is never sent again."""
        until = time.monotonic() + self.unseen_seconds
        try:
            while True:
                busy, job = await self.is_busy(), await find()
                if job is not None:
                    note = "The answer was lost; these tests have begun since. That they are yours is not certain."
                    return job.model_copy(update={"note": f"{note} {STILL}"})
                if not busy and time.monotonic() >= until:
                    break
                if time.monotonic() >= until + self.begin_seconds:
                    break
                await asyncio.sleep(self.look_seconds)
        except (ServiceDown, RateLimited, BadReply) as error:
            raise AnswerLost(
                self.name,
                f"Whether the tests of {self.node!r} were started is not known: the answer was lost",
                f"It cannot be looked up either: {error}",
                f"get_job(node_id={self.node!r}) shows what runs; do not call run_tests again before.",
                find,
            ) from None
        raise AnswerLost(
            self.name,
            f"The answer was lost, and no tests have begun on {self.node!r} so far",
            lost.why,
            "It is safe to call run_tests again with the same arguments.",
            find,
        )

    async def get_job(self, job_uid: str, patient: bool = True) -> Job:
        """Of a panel that is not busy, what it keeps is read anew: the job may have ended since the last reading."""
        busy = await self.is_busy(patient=patient)
        return self._pick_job(job_uid, busy, await self.read_store(fresh=not busy))

    def _pick_job(self, job_uid: str, busy: bool, store: Store) -> Job:
        if store.live is not None and uid_of(store.live) == job_uid:
            return self._job_of(store.live, busy, store.of_job(job_uid))
        if (run := store.of_job(job_uid)) is not None:
            return self._ended(run)
        why = "It was started here, and the panel may have been restarted since: that ends its tests without a result"
        raise NotFound(
            f"{self.name} has no such job",
            why if job_uid in self._started_here else "",
            "list_nodes shows the stand's job; ids look like <service>:<seconds since 1970>.",
        ).naming(job_uid)

    async def get_node_job(self, node_id: str) -> Job:
        self.check_node(node_id)
        busy = await self.is_busy()
        store = await self.read_store(fresh=True)
        if store.live is not None and store.live.start_time is not None:
            return self._job_of(store.live, busy, store.of_job(uid_of(store.live)))
        if busy:
            raise NotFound(f"The tests of {self.node!r} have not begun yet", "", "Call again in some seconds.")
        last = next((run for run in store.runs if run.started is not None), None)
        if last is None:
            raise NotFound(f"{self.node!r} has never run a test", "", "run_tests starts one.")
        return self._ended(last)

    async def stop_job(self, job_uid: str) -> bool:
        """Asked of the panel once: it sends its test process a signal, which goes to whatever runs by then."""
        busy = await self.is_busy()
        if self._pick_job(job_uid, busy, await self.read_store(fresh=True)).finished:
            return True
        last = self._stopped.get(job_uid)
        if last is None or time.monotonic() - last > self.stop_again_seconds:
            if await self.is_choosing():
                raise await self.conflict(choosing=True)
            self._stopped[job_uid] = time.monotonic()
            try:
                await self.order("/api/stop", "the stop", "stopped", "ready", "busy")
            except (ServiceDown, BadReply) as lost:
                raise AnswerLost(self.name, lost.what, lost.why, "get_job shows whether it runs.") from None
        return bool(await look_up(partial(self._find_stopped, job_uid), self.stop_looks))

    async def _find_stopped(self, job_uid: str) -> Job | None:
        job = await self.get_job(job_uid)
        return job if job.finished else None

    async def get_job_owner(self, job_uid: str) -> JobOwner:
        return JobOwner(True if job_uid in self._started_here else None)

    def _job_of(self, live: StateDocument, busy: bool, ended: EndedRun | None) -> Job:
        """The job in the live state, which is there until the next is collected or has begun. Where it has `ended`, a
        busy panel is at what follows it or at another start."""
        counts = Counter(case.outcome for _, case in live.cases.values())
        lost = not busy and live.status == "run"
        unknown = sum(case.outcome is None for _, case in live.cases.values())
        notes = [
            "Its test process has ended without a result: it was killed, or the panel was restarted." if lost else "",
            f"{unknown} cases have a status that HardPy 0.25 does not have." if unknown else "",
            "The panel is busy still, or again." if busy and ended else "",
        ]
        return Job(
            job_uid=self.handle(uid_of(live)),
            node_id=self.node,
            finished=not busy or ended is not None,
            passed=counts["pass"],
            failed=counts["fail"],
            errored=counts["error"],
            total=len(live.cases),
            started_at=None if live.start_time is None else to_moment(live.start_time),
            ended_at=None if live.stop_time is None else to_moment(live.stop_time),
            waiting_for=self.dialogs_of(live) if busy else [],
            note=" ".join(note for note in notes if note),
        )

    def _ended(self, run: EndedRun) -> Job:
        """A job that is in the history."""
        return Job(
            job_uid=self.handle(f"{run.started:.0f}"),
            node_id=self.node,
            finished=True,
            passed=run.counts[0],
            failed=run.counts[1],
            errored=run.counts[2],
            total=run.counts[3],
            started_at=run.began,
            ended_at=None if run.stopped is None else to_moment(run.stopped),
        )
