"""fastmcp: what its client makes of an answer, `.data` above all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


def client_of(target: Any, **options: Any) -> Client:
    transport = target if isinstance(target, str) else StdioTransport(target[0], target[1:], keep_alive=False)
    return Client(transport, init_timeout=60, **options)


@asynccontextmanager
async def connected(target: Any, on_progress: Callable[[str], None]) -> AsyncIterator[Any]:
    async def progress(done: float, total: float | None, message: str | None) -> None:
        on_progress(message or "")

    async with client_of(target, progress_handler=progress) as client:

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments, raise_on_error=False)
            texts = "".join(block.text for block in result.content if block.type == "text")
            return {"text": texts, "image": any(block.type == "image" for block in result.content)}

        yield [tool.name for tool in await client.list_tools()], call


async def extra(stdio: list[str], http: str) -> dict[str, Any]:
    """Its `.data`, made by the output schema, and the structure of an error."""
    async with client_of(http) as client:
        nodes = (await client.call_tool("list_nodes", {})).data
        failed = await client.call_tool("get_run", {"run_id": "portal:"}, raise_on_error=False)
        pages = (await client.call_tool("list_runs", {"limit": 1})).data
        triage = (await client.call_tool("triage", {})).data
    return {
        "nodes": json.dumps(nodes.nodes),
        "untrusted": nodes.untrusted,
        "structure": failed.structured_content,
        "notes": [pages.note, triage.note, triage.next],
    }
