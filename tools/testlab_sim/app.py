"""The simulated lab as one ASGI application: four services under four prefixes, one world behind them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.control import Control
from testlab_sim.faults import Faults, Interference, Traffic
from testlab_sim.hardpy import api as hardpy
from testlab_sim.production.history import History
from testlab_sim.routing import Refusal, answer_refusal
from testlab_sim.standcloud import api as standcloud
from testlab_sim.stbtester import api as stbtester
from testlab_sim.stbtester.portal import Portal
from testlab_sim.tofupilot import api as tofupilot
from testlab_sim.world import Clock, World


def create_world(seed: int = 7, speed: float = 20.0, runs: int = 0) -> World:
    """A lab with some months behind it; `speed` divides the length of simulated work, `runs` is how many production
    runs there are (0: what `effects` says)."""
    clock = Clock(speed)
    return World(Portal.seeded(seed, clock), History.seeded(seed, clock.now(), runs), clock, seed)


def create_app(world: World) -> Starlette:
    """Bind the services to `world`, each under its prefix."""
    faults, traffic = Faults(), Traffic()
    routes = Control(world, faults, traffic).routes()
    for api in (stbtester, tofupilot, standcloud, hardpy):
        routes += api.mount(world)
    return Starlette(
        routes=routes,
        middleware=[Middleware(Interference, faults=faults, traffic=traffic)],
        exception_handlers={Refusal: answer_refusal, HTTPException: _http_error},
    )


async def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return JSONResponse({"message": exc.detail}, exc.status_code, headers=exc.headers)
