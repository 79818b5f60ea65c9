"""What the vendor's own client asks for beyond the REST API page (stbt_rig 33.1.0)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.routing import Api
from testlab_sim.stbtester.wire import COMMON, PREFIX, check_token, user
from testlab_sim.world import World

routes = Api[World](PREFIX, "Account", guard=check_token)

_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""


@routes.route("GET", "/api/v2/user", statuses={200: "Success", **COMMON})
async def get_user(request: Request, world: World) -> Response:
    """Whose token this is."""
    who = user(request, world)
    return JSONResponse({"login": who.login, "name": who.name})


@routes.route("POST", "/github/post-receive", statuses={200: "Success", **COMMON})
async def notify_push(request: Request, world: World) -> Response:
    """Tell the portal that the test-pack's git repository has new commits."""
    return JSONResponse({})


@routes.route("GET", "/api/_private/workgroup", statuses={200: "Success", **COMMON})
async def list_workgroup(request: Request, world: World) -> Response:
    """The ids of the nodes attached to the portal."""
    return JSONResponse([{"id": node_id} for node_id in world.portal.nodes])


@routes.route("GET", "/api/v2/secrets.pub.pem", statuses={200: "Success", **COMMON})
async def get_public_key(request: Request, world: World) -> Response:
    """The key with which secrets in the test-pack are encrypted."""
    return Response(_PUBLIC_KEY, media_type="application/x-pem-file")
