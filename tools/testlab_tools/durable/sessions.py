"""Sessions with PostgreSQL that end when the server has gone, also where the network takes all and answers nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

T = TypeVar("T")

SESSION: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""How soon the system ends the connection of a session whose server has gone without a word."""
SILENT_S = 3.0
"""After so long without an answer another connection is tried: where that fails too, the server has gone. A statement
may take as long as it likes while the server can be reached."""


class Session(psycopg.Connection[Any]):
    """A session that raises OperationalError instead of waiting for a server that has gone."""

    reach: Callable[[], object]
    """Connects to the same server. Raises ConnectionTimeout where nothing answers."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Run a part of the protocol."""
        return super().wait(self._watch(gen), *args, **kwargs)

    def _watch(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Step through `gen`; now and then, nothing has come."""
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready or self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > SILENT_S:
                    self._check_server()
                    heard_at = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value

    def _check_server(self) -> None:
        try:
            self.reach()
        except psycopg.errors.ConnectionTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server has gone without a word") from None
        except psycopg.OperationalError:  # it says something, such as that it has no room for one more
            pass


def connect(*args: Any, **kwargs: Any) -> Session:
    """As psycopg.connect. Raises OperationalError within seconds."""
    given = {**kwargs, **SESSION}
    session = Session.connect(*args, **given)
    session.reach = lambda: psycopg.connect(*args, **given).close()
    return session
