"""What the vendor's own client asks for beyond the REST API page (stbt_rig 33.1.0)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.routing import Api
from testlab_sim.stbtester.wire import PREFIX, check_token, user
from testlab_sim.world import World

routes = Api[World](PREFIX, "Account", guard=check_token)


@routes.route("GET", "/api/v2/user")
async def get_user(request: Request, world: World) -> Response:
    """Whose token this is."""
    who = user(request, world)
    return JSONResponse({"login": who.login, "name": who.name})


@routes.route("POST", "/github/post-receive")
async def notify_push(request: Request, world: World) -> Response:
    """Tell the portal that the test-pack's git repository has new commits."""
    return JSONResponse({})


@routes.route("GET", "/api/_private/workgroup")
async def list_workgroup(request: Request, world: World) -> Response:
    """The ids of the nodes attached to the portal."""
    return JSONResponse([{"id": node_id} for node_id in world.portal.nodes])
