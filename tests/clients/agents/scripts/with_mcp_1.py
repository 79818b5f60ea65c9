"""The SDK before 2.0 (mcp 1.30), which many agents still pin. COMMAND, ANSWER.

It ends its session while a call is pending in three ways: it gives the call up, it fails itself, it is cancelled.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


class Over(Exception):
    """The program's own failure."""


async def main(command: list[str], answer: Path) -> None:
    server = StdioServerParameters(command=command[0], args=command[1:])
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        nodes = await session.call_tool("list_nodes", {})
        failed = await session.call_tool("get_run", {"run_id": "portal:"})
    busy = next(node["node_id"] for node in nodes.structuredContent["nodes"] if node["state"] == "busy")
    seen = {
        "tools": sorted(tools),
        "read": nodes.content[0].text,
        "error": failed.content[0].text,
        "ends": [await end(server, busy, how) for how in ("given up", "failed", "cancelled")],
    }
    answer.write_text(json.dumps(seen), encoding="utf-8")


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


anyio.run(main, json.loads(sys.argv[1]), Path(sys.argv[2]))
