"""Test farm node information, and the manual remote control the vendor's client presses."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.clock import iso
from testlab_sim.routing import Api
from testlab_sim.stbtester.endpoints.reservations import reservation_json
from testlab_sim.stbtester.nodes import Node
from testlab_sim.stbtester.refusal import Refusal
from testlab_sim.stbtester.remote import KEYS
from testlab_sim.stbtester.test_pack import REMOTE_CONTROLS, resolve
from testlab_sim.stbtester.wire import PREFIX, base, body, check_token, job_json, user
from testlab_sim.world import World

routes = Api[World](PREFIX, "Test farm nodes", guard=check_token)


def find_node(world: World, node_id: str) -> Node:
    node = world.portal.nodes.get(node_id)
    if node is None:
        raise Refusal(404, f"Unknown node_id {node_id!r}")
    return node


def online(node: Node) -> Node:
    if not node.online:
        raise Refusal(503, f"Node {node.node_id} is offline")
    return node


@routes.route("GET", "/api/v2/nodes")
async def list_nodes(request: Request, world: World) -> Response:
    """Get status of all nodes."""
    return JSONResponse([_node_json(node, request, world) for node in world.portal.nodes.values()])


@routes.route("GET", "/api/v2/nodes/{node_id}")
async def get_node(request: Request, world: World) -> Response:
    """Get a node's current status."""
    return JSONResponse(_node_json(find_node(world, request.path_params["node_id"]), request, world))


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


@routes.route("POST", "/api/v2/nodes/{node_id}/press")
async def press(request: Request, world: World) -> Response:
    """Press a key of the remote control (stbt_rig 33.1.0, `Node.press`)."""
    node, who = find_node(world, request.path_params["node_id"]), user(request, world)
    fields = await body(request)
    key, revision = fields.get("key"), fields.get("test_pack_revision", "main")
    if key not in KEYS:
        raise Refusal(400, f"Invalid key {key!r}: the remote control has keys like KEY_HOME and KEY_OK")
    if not isinstance(revision, str) or resolve(revision) is None:
        raise Refusal(404, f"Commit sha or branch {revision!r} not found in test-pack")
    if fields.get("remote_control", REMOTE_CONTROLS[0]) not in REMOTE_CONTROLS:
        raise Refusal(400, f"Unknown remote_control {fields['remote_control']!r}")
    if held := world.portal.held_by_other(online(node).node_id, who.login):
        raise Refusal(409, f"Node {node.node_id} reserved by @{held.username}")
    node.remote.press(key)
    node.used(who.login, world.clock.now())
    return JSONResponse({})
