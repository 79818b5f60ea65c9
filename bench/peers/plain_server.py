"""The server that the official SDK's introduction leads to: typed results, one client, all else as it comes.

`python plain_server.py URL [--http]`: in front of a portal, over stdio or over Streamable HTTP on a free port.
"""

from __future__ import annotations

import sys
from typing import Any

import httpx2
from mcp.server.mcpserver import Image, MCPServer
from pydantic import BaseModel


class Job(BaseModel):
    job_uid: str
    job_url: str
    triage_url: str
    status: str
    start_time: str
    end_time: str | None
    result_counts: dict[str, int]


class Reservation(BaseModel):
    reservation_id: int
    node_id: str
    username: str
    start_time: str
    expires: str
    message: str
    message_html: str
    reserved_by_you: bool


class Node(BaseModel):
    node_id: str
    node_url: str
    friendly_name: str
    available: bool
    not_available_reason: str | None
    online: bool
    device_type: str
    config: dict[str, Any]
    geoip_city: str
    geoip_country: str
    external_ip_address: str
    local_ip_address: str
    licence_expiry: str
    last_used_by: str
    last_used_time: str
    job: Job
    reservation: Reservation | None


class Result(BaseModel):
    result_id: str
    result_url: str
    triage_url: str
    job_uid: str
    start_time: str
    end_time: str | None
    test_pack_sha: str
    test_case: str
    result: str
    failure_reason: str | None


client = httpx2.AsyncClient(base_url=sys.argv[1])
mcp = MCPServer("plain")


async def read(path: str) -> httpx2.Response:
    return (await client.get(path)).raise_for_status()


@mcp.tool()
async def get_node(node_id: str) -> Node:
    """Get a node's current status."""
    return Node.model_validate_json((await read(f"/api/v2/nodes/{node_id}")).content)


@mcp.tool()
async def list_nodes() -> list[Node]:
    """List all nodes with their status."""
    return [Node.model_validate(node) for node in (await read("/api/v2/nodes")).json()]


@mcp.tool()
async def list_results() -> list[Result]:
    """List test results, newest first."""
    return [Result.model_validate(row) for row in (await read("/api/v2/results")).json()]


@mcp.tool()
async def get_screenshot(node_id: str) -> Image:
    """Get a screenshot of the device under test."""
    return Image(data=(await read(f"/api/v2/nodes/{node_id}/screenshot.png")).content, format="png")


if "--http" in sys.argv:
    mcp.run("streamable-http", port=0)
else:
    mcp.run("stdio")
