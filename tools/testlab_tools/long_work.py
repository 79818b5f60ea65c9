"""Work that outlives the call that began it, on the workflow engine of one database, and the services it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from testlab_tools.campaigns.campaigns import Campaigns
from testlab_tools.capabilities import Service
from testlab_tools.durable.engine import Engine
from testlab_tools.long_services import LaunchServices
from testlab_tools.node_queue.queue import ReservationQueue
from testlab_tools.notify.notifier import Notifier
from testlab_tools.notify.receivers import Receiver
from testlab_tools.schedules.schedules import Schedules
from testlab_tools.watches.watches import OpenArchive, Watches

__all__ = ["LaunchServices", "LongWork"]


class LongWork:
    """What a lab has of long work, on an engine that the lab's owner closes.

    Each kind of work registers its worker here, before the engine starts.
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
        self.queue = ReservationQueue(engine, self.services)
        self.notifier = Notifier(engine, receivers)
        self.campaigns = Campaigns(engine, self.services, self.queue, self.notifier)
        self.schedules = Schedules(engine, self.services, self.campaigns)
        self.watches = Watches(engine, self.services, open_archive, self.notifier, self.campaigns)
