"""A simulated stand in this process, and the service in front of it; every request is written down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from testlab_sim.hardpy import api
from testlab_sim.hardpy.stand import Stand
from testlab_sim.world import Clock, World
from testlab_tools.adapters.hardpy.adapter import HardPy
from testlab_tools.adapters.hardpy.client import NoCredentials
from testlab_tools.http import Endpoint, RetryPolicy, ServiceClient

SPEED = 400.0


class Panel(httpx2.AsyncBaseTransport):
    """The stand's panel. `lose` are paths whose answer is lost, `refuse` those that never arrive, each once."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.clock = Clock(SPEED)
        world = World(None, None, self.clock, stand=stand)  # pyright: ignore[reportArgumentType] - no other service
        self._app = httpx2.ASGITransport(app=Starlette(routes=list(api.mount(world))))
        self.asked: list[tuple[str, str]] = []
        self.lose: list[str] = []
        self.refuse: list[str] = []
        self.before: dict[str, Callable[[], None]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/hardpy")
        self.asked.append((request.method, path))
        if path in self.before:
            self.before.pop(path)()
        if path in self.refuse:
            self.refuse.remove(path)
            raise httpx2.ReadError("")
        answer = await self._app.handle_async_request(request)
        if path in self.lose:
            self.lose.remove(path)
            raise httpx2.ReadError("")
        return answer

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked == path for _, asked in self.asked)

    def begin(self, *tests: str) -> None:
        """Somebody else starts these tests, and their first begins."""
        self.stand.selected = list(tests)
        assert self.stand.start([], self.clock)
        self.clock.advance(10)
        self.stand.advance(self.clock)


@pytest.fixture
def panel() -> Panel:
    return Panel(Stand.seeded(Clock().now()))


@pytest.fixture
async def bench(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HardPy]:
    """The service, which waits for nothing longer than it must."""
    for name, seconds in {"unseen_seconds": 0.2, "look_seconds": 0.01, "begin_seconds": 2.0}.items():
        monkeypatch.setattr(HardPy, name, seconds)
    monkeypatch.setattr("testlab_tools.adapters.hardpy.store.PAUSE_SHARE", 0.0)
    endpoint = Endpoint("bench", "http://stand/hardpy", retry=RetryPolicy(attempts=1))
    made = HardPy("bench", ServiceClient(endpoint, NoCredentials("bench"), transport=panel))
    yield made
    await made.aclose()


@pytest.fixture
def documents(panel: Panel) -> list[dict[str, Any]]:
    """The runs that the stand keeps, to be changed."""
    return panel.stand.runs
