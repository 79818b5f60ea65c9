"""StandCloud's own history for each test that changes it, one for all that only read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import pytest

from testlab_sim.production.history import History
from testlab_sim.production.stands import Stands
from testlab_sim.stbtester.portal import Portal
from testlab_sim.world import YOU, Clock, World


class Server(Protocol):
    """What the `serve` fixture gives."""

    url: str

    def client(self, path: str) -> httpx2.Client: ...


@dataclass
class StandCloud:
    """StandCloud being served: `hardpy` and `integration` call its two prefixes as `YOU`, `anyone` without a key."""

    world: World
    hardpy: httpx2.Client
    integration: httpx2.Client
    anyone: httpx2.Client

    @property
    def stands(self) -> Stands:
        return self.world.production.stands

    def rows(self, path: str = "/test_run", **params: Any) -> list[dict[str, Any]]:
        reply = self.integration.get(path, params=params)
        assert reply.status_code == 200, reply.text
        return list(reply.json())


Serve = Callable[[World], Server]


def _put(serve: Serve, history: History) -> StandCloud:
    clock = Clock()
    world = World(Portal.seeded(7, clock), history, clock)
    lab = serve(world)
    hardpy, integration = lab.client("/standcloud/hardpy/api/v1"), lab.client("/standcloud/integration/api/v1")
    hardpy.headers["Authorization"] = f"Bearer {YOU.token}"
    integration.headers["X-API-KEY"] = YOU.token
    return StandCloud(world, hardpy, integration, lab.client("/standcloud"))


@pytest.fixture(scope="session")
def history() -> History:
    return History.seeded(7, time.time())


@pytest.fixture
def standcloud(serve: Serve, history: History) -> StandCloud:
    """To look at only."""
    return _put(serve, history)


@pytest.fixture
def fresh(serve: Serve, small_history: History) -> StandCloud:
    """To change."""
    return _put(serve, small_history)
