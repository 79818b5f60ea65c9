"""Screenshots of the devices under test."""

from __future__ import annotations

from collections.abc import Callable

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.routing import Api
from testlab_sim.stbtester.endpoints.nodes import find_node, online
from testlab_sim.stbtester.screens import Screen, jpeg, png
from testlab_sim.stbtester.wire import PREFIX, check_token, user
from testlab_sim.world import World

routes = Api[World](PREFIX, "Screenshots", guard=check_token)


@routes.route("GET", "/api/v2/nodes/{node_id}/screenshot.png")
async def grab_screenshot(request: Request, world: World) -> Response:
    """Grab a screenshot from the device under test."""
    return await _grab(request, world, png, "image/png")


@routes.route("GET", "/api/v2/nodes/{node_id}/thumbnail.jpg")
async def grab_thumbnail(request: Request, world: World) -> Response:
    """Grab a small thumbnail of the screenshot from the device under test."""
    return await _grab(request, world, jpeg, "image/jpeg")


async def _grab(request: Request, world: World, encode: Callable[[Screen], bytes], media_type: str) -> Response:
    node = online(find_node(world, request.path_params["node_id"]))
    node.used(user(request, world).login, world.clock.now())
    return Response(await run_sync(encode, world.portal.screen(node)), media_type=media_type)
