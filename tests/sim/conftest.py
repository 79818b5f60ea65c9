"""The simulated lab on a real server: one server for the session, worlds put on it as the tests ask."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

import httpx2
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from testlab_sim.app import create_app, create_world
from testlab_sim.listening import listen
from testlab_sim.production import effects
from testlab_sim.production.history import History
from testlab_sim.serving import LabServer
from testlab_sim.stbtester.portal import Portal
from testlab_sim.world import COLLEAGUE, YOU, Clock, Person, World

FEW_UNITS = 260
SPEED = 200.0
"""A test case of 20 s takes 0.1 s."""


NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Made once: a client of its own making would read the certificates of every authority."""


@dataclass
class Stage:
    """An application that is whichever lab a test has put on."""

    url: str
    showing: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.showing is not None
        await self.showing(scope, receive, send)


@dataclass
class Lab:
    """A lab being served: `you` and `colleague` are clients of its portal, `control` of its control plane."""

    url: str
    world: World
    closing: ExitStack = field(default_factory=ExitStack)

    def client(self, path: str, person: Person | None = None) -> httpx2.Client:
        headers = {"Authorization": f"token {person.token}"} if person else {}
        client = httpx2.Client(base_url=self.url + path, headers=headers, timeout=20, verify=NO_TLS)
        return self.closing.enter_context(client)

    @cached_property
    def you(self) -> httpx2.Client:
        return self.client("/stbtester/api/v2", YOU)

    @cached_property
    def colleague(self) -> httpx2.Client:
        return self.client("/stbtester/api/v2", COLLEAGUE)

    @cached_property
    def control(self) -> httpx2.Client:
        return self.client("/_sim")

    def node(self, friendly_name: str) -> str:
        return self.world.portal.named(friendly_name).node_id


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    listener = listen()
    stage = Stage(f"http://127.0.0.1:{listener.getsockname()[1]}")
    ready = threading.Event()
    server = LabServer(stage, ready.set)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert ready.wait(10)
    yield stage
    server.should_exit = True
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def serve(stage: Stage) -> Iterator[Callable[[World], Lab]]:
    """Puts a world on the session's server."""
    with ExitStack() as closing:

        def put(world: World) -> Lab:
            world.base_url = stage.url
            stage.showing = create_app(world)
            return Lab(stage.url, world, closing)

        yield put


@pytest.fixture
def small_history() -> History:
    """A production history of a test's own, with a few of the units: made in a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effects, "UNITS", FEW_UNITS)
        return History.seeded(7, time.time())


@pytest.fixture(scope="session")
def settled_world() -> World:
    return create_world(speed=SPEED)


@pytest.fixture
def lab(serve: Callable[[World], Lab], settled_world: World) -> Lab:
    """A lab to look at. Tests that change anything ask for `fresh_lab`."""
    return serve(settled_world)


@pytest.fixture
def fresh_lab(serve: Callable[[World], Lab], settled_world: World) -> Lab:
    """A portal of one's own; the production history, which its tests do not touch, is everybody's."""
    clock = Clock(SPEED)
    return serve(World(Portal.seeded(7, clock), settled_world.production, clock))
