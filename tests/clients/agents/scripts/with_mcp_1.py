"""The SDK before 2.0 (mcp 1.30), which many agents still pin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


class Over(Exception):
    """The program's own failure."""


@asynccontextmanager
async def connected(target: Any, on_progress: Callable[[str], None]) -> AsyncIterator[Any]:
    async def progress(done: float, total: float | None, message: str | None) -> None:
        on_progress(message or "")

    streams = streamablehttp_client(target) if isinstance(target, str) else stdio_client(server_of(target))
    async with streams as (read, write, *_), ClientSession(read, write) as session:
        await session.initialize()

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            result = await session.call_tool(tool, arguments, progress_callback=progress)
            text = "".join(block.text for block in result.content if block.type == "text")
            return {"text": text, "image": any(block.type == "image" for block in result.content)}

        yield [tool.name for tool in (await session.list_tools()).tools], call


def server_of(command: list[str]) -> StdioServerParameters:
    return StdioServerParameters(command=command[0], args=command[1:])


async def extra(stdio: list[str], http: str) -> dict[str, Any]:
    """It ends its session while a call is pending in three ways: it gives the call up, fails itself, is cancelled."""
    server = server_of(stdio)
    async with streamablehttp_client(http) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        nodes = (await session.call_tool("list_nodes", {})).structuredContent["nodes"]
    busy = next(node["node_id"] for node in nodes if node["state"] == "busy")
    return {"ends": [await end(server, busy, how) for how in ("given up", "failed", "cancelled")]}


async def end(server: StdioServerParameters, node: str, how: str) -> list[str]:
    """What came out of a session that ended in this way while a call was pending: nothing but the program's own."""
    with anyio.CancelScope() as whole:
        try:
            async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
                await session.initialize()
                held = anyio.Event()

                async def progress(done: float, total: float | None, message: str | None) -> None:
                    held.set()

                async def wait() -> None:
                    arguments = {"node_id": node, "wait_seconds": 45}
                    await session.call_tool("get_job", arguments, progress_callback=progress)

                async with anyio.create_task_group() as waiting:
                    waiting.start_soon(wait)
                    await held.wait()
                    if how == "failed":
                        raise Over
                    (waiting.cancel_scope if how == "given up" else whole).cancel()
        except Exception as error:  # noqa: BLE001 - whatever comes out is what is asked
            return names_in(error)
    return []


def names_in(error: Exception) -> list[str]:
    if isinstance(error, ExceptionGroup):
        return [name for inner in error.exceptions for name in names_in(inner)]
    return [type(error).__name__]
