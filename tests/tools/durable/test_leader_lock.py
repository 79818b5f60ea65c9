"""Who is the leader on PostgreSQL, where the network to the server goes without a word."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from testlab_tools.durable.database import AdvisoryLock
from tests.postgresql import fresh_database


class Network:
    """Carries bytes between one client and the server until it is silent: then both sides wait, for 6 s."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.is_silent = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _carry(self) -> None:
        client, _ = self._listening.accept()
        with self._listening, client, socket.create_connection(("127.0.0.1", 5432)) as server:
            while not self.is_silent.is_set():
                for ready in select.select([client, server], [], [], 0.02)[0]:
                    if not self.is_silent.is_set():
                        (server if ready is client else client).sendall(ready.recv(65_536))
            self._is_over.wait(6)


@pytest.fixture
def url() -> Iterator[str]:
    with fresh_database() as made:
        yield made


@pytest.fixture
def network(url: str) -> Iterator[Network]:
    made = Network()
    yield made
    made.is_silent.set()
    made.close()


def test_a_leader_whose_server_goes_silent_leads_no_longer(url: str, network: Network) -> None:
    lock = AdvisoryLock(url.replace("5432", str(network.port)), answer_s=0.3)
    assert lock.acquire()
    assert not AdvisoryLock(url).acquire()
    assert lock.held()
    assert lock.held(), "asked as often as one likes"
    network.is_silent.set()
    began = time.monotonic()
    assert not lock.held()
    lock.release()
    assert time.monotonic() - began < 5
    assert not lock.held()
