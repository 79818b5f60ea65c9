"""What others use to tell receivers of something. The first use imports DBOS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from testlab_tools.durable.engine import Engine
from testlab_tools.durable.late_store import LateStore, database_error
from testlab_tools.models.watches import SentNotice
from testlab_tools.notify.event import Event
from testlab_tools.notify.receivers import Receiver

if TYPE_CHECKING:
    import sqlalchemy as sa

    from testlab_tools.durable.workflows import Workflows
    from testlab_tools.notify.store import Notice, NoticeStore
    from testlab_tools.notify.worker import NoticeWorker

WORKFLOW = "notify"


class Notifier:
    """The receivers of a config, on the engine of its lab."""

    def __init__(self, engine: Engine, receivers: Mapping[str, Receiver]) -> None:
        self.engine = engine
        self.receivers = receivers
        self._database = LateStore(engine, _open_store, _failure)
        engine.register(WORKFLOW, self._open_worker, self._tidy)

    async def notify(self, event: Event) -> None:
        """Have an event sent to every receiver; the same event again is not sent again. Raises LabError where it cannot
        be written down."""
        if self.receivers:
            now = self.engine.clock.now().timestamp()
            await self._database.ask(lambda store: store.add_alone(event, list(self.receivers), now))
            self.engine.wake()

    def announce(self, connection: sa.Connection, event: Event) -> None:
        """As `notify`, in the transaction of what has happened. Blocks; raises what SQLAlchemy raises."""
        if self.receivers:
            now = self.engine.clock.now().timestamp()
            self._database.open().add(connection, event, self.receivers, now)

    def open(self) -> None:
        """Create the table, which `announce` may not do within a transaction. Blocks."""
        self._database.open()

    async def list(self, event_id: str) -> list[SentNotice]:
        """The messages about an event, as they stand."""
        notices: list[Notice] = await self._database.ask(lambda store: store.list(event_id))
        return [SentNotice(receiver=n.receiver, state=n.state, tries=n.tries, why=n.why) for n in notices]

    def _tidy(self) -> None:
        self._database.open().tidy(self.engine.clock.now().timestamp())

    def _open_worker(self) -> NoticeWorker:
        from testlab_tools.notify.worker import NoticeWorker

        store = self._database.open()
        return NoticeWorker(store, self.receivers, self.engine.clock)


def _open_store(workflows: Workflows) -> NoticeStore:
    from testlab_tools.notify.store import NoticeStore

    return NoticeStore(workflows)


_failure = database_error("messages", "Call again later.")
