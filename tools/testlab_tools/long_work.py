"""Work that outlives the call that began it, on the workflow engine of one database, and the services it uses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from testlab_tools.capabilities import Service
from testlab_tools.durable.engine import Engine
from testlab_tools.long_services import LaunchServices

if TYPE_CHECKING:
    from testlab_tools.campaigns.campaigns import Campaigns
    from testlab_tools.node_queue.queue import ReservationQueue
    from testlab_tools.notify.notifier import Notifier
    from testlab_tools.notify.receivers import Receiver
    from testlab_tools.schedules.schedules import Schedules
    from testlab_tools.watches.watches import OpenArchive, Watches

__all__ = ["LaunchServices", "LongWork"]


class _Kinds(NamedTuple):
    queue: ReservationQueue
    notifier: Notifier
    campaigns: Campaigns
    schedules: Schedules
    watches: Watches


class LongWork:
    """What a lab has of long work, on an engine that the lab's owner closes.

    Each kind of work registers its worker before the engine runs workflows; none is imported before it is used.
    """

    def __init__(
        self,
        engine: Engine,
        connect: Callable[[], Iterable[Service]],
        open_archive: OpenArchive = lambda: None,
        receivers: Mapping[str, Receiver] = {},
    ) -> None:
        """`open_archive` opens the history of runs for the engine's event loop; `receivers` are told what ended."""
        self.engine = engine
        self.services = LaunchServices(engine, connect)
        self._open_archive, self._receivers = open_archive, receivers
        self._making = threading.Lock()
        self._made: _Kinds | None = None
        engine.register_late(self._make)

    @property
    def queue(self) -> ReservationQueue:
        """The line for nodes."""
        return self._make().queue

    @property
    def notifier(self) -> Notifier:
        """What tells receivers."""
        return self._make().notifier

    @property
    def campaigns(self) -> Campaigns:
        """The campaigns."""
        return self._make().campaigns

    @property
    def schedules(self) -> Schedules:
        """Campaigns that begin later."""
        return self._make().schedules

    @property
    def watches(self) -> Watches:
        """What is watched until it happens."""
        return self._make().watches

    def _make(self) -> _Kinds:
        """All kinds, made once; the engine's thread and the server's loop may both be the first to ask."""
        with self._making:
            if self._made is None:
                from testlab_tools.campaigns.campaigns import Campaigns
                from testlab_tools.node_queue.queue import ReservationQueue
                from testlab_tools.notify.notifier import Notifier
                from testlab_tools.schedules.schedules import Schedules
                from testlab_tools.watches.watches import Watches

                queue = ReservationQueue(self.engine, self.services)
                notifier = Notifier(self.engine, self._receivers)
                campaigns = Campaigns(self.engine, self.services, queue, notifier)
                schedules = Schedules(self.engine, self.services, campaigns)
                watches = Watches(self.engine, self.services, self._open_archive, notifier, campaigns)
                self._made = _Kinds(queue, notifier, campaigns, schedules, watches)
            return self._made
