"""Nodes, what their devices show, and what the vendor's own client asks for beyond the REST API page (stbt_rig 33.1.0):
whose token it is, and the keys of the remote control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.stbtester.job_endpoints import job_json
from testlab_sim.stbtester.nodes import KEYS, Node
from testlab_sim.stbtester.reservations import reservation_json
from testlab_sim.stbtester.screens import Screen, jpeg, png
from testlab_sim.stbtester.service import Refusal, api, base, body, user
from testlab_sim.stbtester.test_pack import resolve
from testlab_sim.world import World, iso


@api.route("GET", "/api/v2/nodes")
async def list_nodes(request: Request, world: World) -> Response:
    """Get status of all nodes."""
    return JSONResponse([_node_json(node, request, world) for node in world.portal.nodes.values()])


@api.route("GET", "/api/v2/nodes/{node_id}")
async def get_node(request: Request, world: World) -> Response:
    """Get a node's current status."""
    return JSONResponse(_node_json(world.portal.node(request.path_params["node_id"]), request, world))


def _node_json(node: Node, request: Request, world: World) -> dict[str, Any]:
    portal, now, link = world.portal, world.clock.now(), base(request)
    reason = portal.unavailable(node)
    job = portal.job_on(node.node_id)
    held = portal.reservations.on(node.node_id, now)
    return {
        "node_id": node.node_id,
        "node_url": f"{link}/api/v2/nodes/{node.node_id}",
        "available": reason is None,
        "not_available_reason": reason,
        "online": node.online,
        "config": node.config(),
        "device_type": node.device_type,
        "friendly_name": node.friendly_name,
        "external_ip_address": node.external_ip,
        "local_ip_address": node.local_ip,
        "geoip_city": node.city,
        "geoip_country": node.country,
        "licence_expiry": node.licence_expiry,
        "last_used_by": node.last_used_by,
        "last_used_time": None if node.last_used_time is None else iso(node.last_used_time),
        "job": None if job is None else job_json(job, now, link),
        "reservation": None if held is None else reservation_json(held, user(request, world)),
    }


def _online(node: Node) -> Node:
    if not node.online:
        raise Refusal(503, f"Node {node.node_id} is offline")
    return node


@api.route("POST", "/api/v2/nodes/{node_id}/press")
async def press(request: Request, world: World) -> Response:
    """Press a key of the remote control (stbt_rig 33.1.0, `Node.press`)."""
    from testlab_sim.stbtester.bodies import PressBody, parse

    node, who = world.portal.node(request.path_params["node_id"]), user(request, world)
    given = parse(PressBody, await body(request))
    if given.key not in KEYS:
        raise Refusal(400, f"Invalid key {given.key!r}: the remote control has keys like KEY_HOME and KEY_OK")
    resolve(given.test_pack_revision)
    if held := world.portal.held_by_other(_online(node).node_id, who.login):
        raise Refusal(409, f"Node {node.node_id} reserved by @{held.username}")
    node.remote.press(given.key)
    node.used(who.login, world.clock.now())
    return JSONResponse({})


@api.route("GET", "/api/v2/nodes/{node_id}/screenshot.png")
async def grab_screenshot(request: Request, world: World) -> Response:
    """Grab a screenshot from the device under test."""
    return await _grab(request, world, png, "image/png")


@api.route("GET", "/api/v2/nodes/{node_id}/thumbnail.jpg")
async def grab_thumbnail(request: Request, world: World) -> Response:
    """Grab a small thumbnail of the screenshot from the device under test."""
    return await _grab(request, world, jpeg, "image/jpeg")


async def _grab(request: Request, world: World, encode: Callable[[Screen], bytes], media_type: str) -> Response:
    node = _online(world.portal.node(request.path_params["node_id"]))
    node.used(user(request, world).login, world.clock.now())
    return Response(await run_sync(encode, world.portal.screen(node)), media_type=media_type)


@api.route("GET", "/api/v2/user")
async def get_user(request: Request, world: World) -> Response:
    """Whose token this is."""
    who = user(request, world)
    return JSONResponse({"login": who.login, "name": who.name})


@api.route("POST", "/github/post-receive")
async def notify_push(request: Request, world: World) -> Response:
    """Tell the portal that the test-pack's git repository has new commits."""
    return JSONResponse({})


@api.route("GET", "/api/_private/workgroup")
async def list_workgroup(request: Request, world: World) -> Response:
    """The ids of the nodes attached to the portal."""
    return JSONResponse([{"id": node_id} for node_id in world.portal.nodes])
