"""A PostgreSQL that takes all and answers nothing holds up no question about the history."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg
import pytest

from testlab_tools.archive.postgres import PostgresStore
from testlab_tools.durable import sessions
from tests.postgresql import fresh_database
from tests.unsteady_network import UnsteadyNetwork


def test_a_session_of_the_history_ends_when_its_server_has_gone_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SILENT_S", 0.2)
    monkeypatch.setitem(sessions.SESSION, "connect_timeout", 2)
    with fresh_database() as url, closing(UnsteadyNetwork()) as network:
        store = PostgresStore(url.replace("5432", str(network.port)))
        with closing(store.connect()) as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
            network.swallow()
            began = time.monotonic()
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
            assert time.monotonic() - began < 5
