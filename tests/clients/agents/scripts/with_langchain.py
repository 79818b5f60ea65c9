"""langchain-mcp-adapters (on mcp 1.30): what its agent hands to the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools


@asynccontextmanager
async def connected(target: Any, on_progress: Callable[[str], None]) -> AsyncIterator[Any]:
    async def progress(done: float, total: float | None, message: str | None, context: object) -> None:
        on_progress(message or "")

    if isinstance(target, str):
        connection = {"transport": "streamable_http", "url": target}
    else:
        connection = {"transport": "stdio", "command": target[0], "args": target[1:]}
    client = MultiServerMCPClient({"lab": connection})
    async with client.session("lab") as session:
        loaded = await load_mcp_tools(session, callbacks=Callbacks(on_progress=progress), server_name="lab")
        tools = {tool.name: tool for tool in loaded}

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            told = await tools[tool].ainvoke({"type": "tool_call", "id": "1", "name": tool, "args": arguments})
            blocks = told.content if isinstance(told.content, list) else [{"type": "text", "text": told.content}]
            text = "".join(block.get("text", "") for block in blocks)
            return {"text": text, "image": any(block["type"] == "image" for block in blocks), "status": told.status}

        yield tools, call
