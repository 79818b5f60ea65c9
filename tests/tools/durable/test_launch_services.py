"""Each launch of the engine has services of its own, since connections belong to a launch's event loop."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

from testlab_tools.capabilities import Service
from testlab_tools.capabilities.service import Health
from testlab_tools.durable.database import FileLeaderLock, SqliteDatabase
from testlab_tools.durable.engine import Engine
from testlab_tools.long_services import LaunchServices

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun


class Portal(Service):
    """A service that is not asked."""

    async def probe(self) -> Health:
        raise AssertionError


class OneLock(SqliteDatabase):
    """A database that takes the leader's lock away when it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.taken = threading.Event()

    def leader_lock(self) -> FileLeaderLock:
        taken = self.taken

        class Lock(FileLeaderLock):
            def held(self) -> bool:
                if taken.is_set():
                    taken.clear()
                    return False
                return super().held()

        return Lock(self.path.with_name("lock"))


class IdleWorker:
    """Has the services open, and is given nothing to do."""

    def __init__(self, services: LaunchServices, opened: Queue[Mapping[str, Service]]) -> None:
        self._services = services
        opened.put(services.open())

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> None:
        """Never called."""

    async def aclose(self) -> None:
        await self._services.aclose()


def test_a_launch_after_one_that_ran_nothing_has_services_of_its_own(tmp_path: Path) -> None:
    database = OneLock(tmp_path / "d.sqlite")
    engine = Engine(database)
    engine.rests = False
    services = LaunchServices(engine, lambda: [Portal("portal")])
    opened: Queue[Mapping[str, Service]] = Queue()
    engine.register("idle", lambda: IdleWorker(services, opened))
    engine.register("idle too", lambda: IdleWorker(services, opened))
    engine.start()
    try:
        first, same = opened.get(timeout=30), opened.get(timeout=30)
        assert first["portal"] is same["portal"]
        database.taken.set()
        engine.wake()
        second = opened.get(timeout=30)
        assert second["portal"] is not first["portal"]
    finally:
        engine.close()
