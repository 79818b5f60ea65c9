"""Runs workflows, in at most one process per database: the leader, which holds the database's lock.

DBOS takes the workflows of a dead process up again when a process with the same executor id and application version
launches it; both are constants, since the lock lets in only one process at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from testlab_tools.durable.database import Database

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import Launch, WorkflowRun, Workflows


STILL_S = 6.0
"""A workflow that waits so long while no other is started is lost."""
LONGEST_S = 120.0
"""A workflow that waits so long is lost, whatever else is started."""
MAX_S = 1800.0
"""The longest pause between two launches for workflows that may be lost for good, such as rows that others wrote."""


class Clock:
    """The system's clocks, for what happens only after minutes and days."""

    def seconds(self) -> float:
        """Seconds since some moment, never set back."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)


class Liveness:
    """Watches the workflows of one launch for those that wait and are not run."""

    def __init__(self, clock: Clock, relaunches: int = 0) -> None:
        """`relaunches` is how often in a row the engine was launched for lost workflows: each time the wait doubles."""
        self._clock = clock
        self._patience_s = min(MAX_S, STILL_S * 2 ** min(relaunches, 10))
        self._running: set[str] = set()
        self._idle_since: dict[str, float] = {}
        self._last_start = clock.seconds()

    def note_start(self, workflow_id: str) -> None:
        """The workflow runs now."""
        self._running.add(workflow_id)
        self._last_start = self._clock.seconds()

    def note_end(self, workflow_id: str) -> None:
        """The workflow runs no longer, however it ended."""
        self._running.discard(workflow_id)

    def find_idle(self, waiting: Collection[str]) -> list[str]:
        """The workflows that wait and do not run."""
        now = self._clock.seconds()
        idle = [workflow_id for workflow_id in waiting if workflow_id not in self._running]
        self._idle_since = {workflow_id: self._idle_since.get(workflow_id, now) for workflow_id in idle}
        return idle

    def has_lost_work(self) -> bool:
        """Whether a workflow that `find_idle` found has been idle for too long."""
        now = self._clock.seconds()
        longest = max((now - since for since in self._idle_since.values()), default=0.0)
        return longest > max(LONGEST_S, self._patience_s) or min(longest, now - self._last_start) > self._patience_s


logger = logging.getLogger("testlab_tools")

REST_S = 60.0
"""A leader without work for so long gives its lock back."""
STOP_S = 2.0
TIDY_S = 86_400.0
"""A leader deletes what ended long ago when it begins, and then each day."""
_dbos = threading.Lock()
"""DBOS has one instance per process."""


class WorkflowFailed(Exception):
    """Ends a workflow as failed. It is no error of the program, and is not logged."""


class Worker(Protocol):
    """Runs the workflows of one name in DBOS's event loop, from a launch of the engine to its end."""

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> Any:
        """Run a workflow; its result is stored. After a crash it is run again, from its first step."""

    async def aclose(self) -> None:
        """Close what was opened for the workflows."""


class Engine:
    """A thread that becomes the leader when a workflow waits and there is none, and stays it until it has no work.

    Where not `runs_here`, workflows are only written down and read: another process runs them. A leader that never
    `rests` keeps the lock when it has no work, and begins what comes at once.
    """

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.clock = clock or Clock()
        self._open_workers: dict[str, Callable[[], Worker]] = {}
        self._tidying: list[Callable[[], None]] = []
        self._tidied_at = 0.0
        self._is_untidy = self._is_unknown = False
        self._before_launch: list[Callable[[], None]] = []
        self._register_rest: Callable[[], object] | None = None
        self._opening = threading.Lock()
        self._workflows: Workflows | None = None
        self._failure: tuple[float, Exception] | None = None
        self._lock = database.leader_lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._launched: Launch | None = None
        self._last_work = 0.0
        self._relaunches = 0
        self.runs_here = True
        self.rests = True

    def register(self, name: str, open_worker: Callable[[], Worker], tidy: Callable[[], None] | None = None) -> None:
        """Have workflows of a name run, each launch by a new worker, and what ended long ago deleted by `tidy`. Must
        come before `workflows` and `start`."""
        self._open_workers[name] = open_worker
        if tidy is not None:
            self._tidying.append(tidy)

    def register_late(self, register: Callable[[], object]) -> None:
        """Have something register what it has before workflows are run or counted: what imports their workers."""
        self._register_rest = register

    def before_launch(self, prepare: Callable[[], None]) -> None:
        """Have something called before the workers of each launch are opened, however the launch before has ended."""
        self._before_launch.append(prepare)

    def workflows(self) -> Workflows:
        """The stored workflows. Imports DBOS and creates tables at the first call, and blocks meanwhile. Those who wait
        while that fails fail with it."""
        asked_at = time.monotonic()
        with self._opening:
            if self._workflows is None:
                if self._failure is not None and asked_at < self._failure[0]:
                    raise self._failure[1]
                self._workflows = self._open_workflows()
            return self._workflows

    def _open_workflows(self) -> Workflows:
        from testlab_tools.durable.workflows import Workflows

        try:
            return Workflows(self.database)
        except Exception as error:
            self._failure = time.monotonic(), error
            raise

    def has_waiting(self) -> bool | None:
        """Whether any work waits or goes on; None where the database does not say. Blocks."""
        waiting = self.database.list_waiting()
        if waiting:
            return True
        self._register_all()
        counts = [self.database.count(name) for name in self._open_workers]
        return None if waiting is None or None in counts else any(count and count["waiting"] for count in counts)

    def _register_all(self) -> None:
        if self._register_rest is not None:
            self._register_rest()

    def start(self, after_s: float = 0) -> None:
        """Begin to look for work, first after so many seconds. Does nothing when it has begun, or not `runs_here`."""
        if self.runs_here and self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(after_s,), name="durable", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Look for work at once."""
        self.start()
        self._wake.set()

    def close(self) -> None:
        """Stop within `STOP_S`; workflows that have not ended go on in the next process. Blocks."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
        with self._opening:
            if self._workflows is not None:
                self._workflows.close()
                self._workflows = None

    def _run(self, after_s: float) -> None:
        complained = False
        self._wake.wait(after_s)
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._look()
                complained = False
            except Exception:
                if not complained:
                    logger.exception("stored work cannot be run now; this goes on trying")
                complained = True
            self._wake.wait(self.database.poll_interval_s)
        self._halt()

    def _look(self) -> None:
        waiting = self.database.list_waiting()
        if waiting is None and not self._is_unknown:
            logger.warning("whether stored work waits is not known: the database does not say; it is asked on")
        self._is_unknown = waiting is None
        if waiting is None or waiting:
            self._last_work = self.clock.seconds()
        is_resting = self.rests and self.clock.seconds() - self._last_work > REST_S
        if self._launched is not None and (is_resting or not self._lock.held()):
            self._halt()
        if self._launched is not None:
            if self.clock.seconds() - self._tidied_at >= TIDY_S:
                self._tidy()
            if waiting is not None:
                self._check_liveness(self._launched.liveness, waiting)
        if self._launched is None and (waiting or not self.rests) and _dbos.acquire(blocking=False):
            try:
                self._launch()
            finally:
                if self._launched is None:
                    self._lock.release()
                    _dbos.release()

    def _check_liveness(self, liveness: Liveness, waiting: list[str]) -> None:
        """Halt when DBOS has lost work, so that it is launched anew and takes that up."""
        if not liveness.find_idle(waiting):
            self._relaunches = 0
        elif liveness.has_lost_work():
            logger.warning("stored work stood still, as after a full disk; what runs it is started again")
            self._relaunches += 1
            self._halt()

    def _launch(self) -> None:
        """Does nothing where another process is the leader."""
        if self._lock.acquire():
            self._register_all()
            self.workflows()
            from testlab_tools.durable.workflows import Launch

            for prepare in self._before_launch:
                prepare()
            self._tidy()
            liveness = Liveness(self.clock, self._relaunches)
            workers = {name: open_worker() for name, open_worker in self._open_workers.items()}
            self._launched = Launch(self.database, workers, liveness)

    def _tidy(self) -> None:
        """What cannot be deleted now is so at the next launch, or a day later."""
        self._tidied_at = self.clock.seconds()
        was_untidy, self._is_untidy = self._is_untidy, False
        for tidy in self._tidying:
            try:
                tidy()
            except Exception:
                if not was_untidy:
                    logger.exception("what ended long ago cannot be deleted now; it is tried again")
                self._is_untidy = True

    def _halt(self) -> None:
        if self._launched is not None:
            launched, self._launched = self._launched, None
            try:
                launched.close()
            finally:
                self._lock.release()
                _dbos.release()
