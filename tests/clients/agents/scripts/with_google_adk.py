"""google-adk: what its agent hands to the model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import MagicMock

from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams, StreamableHTTPConnectionParams
from mcp import StdioServerParameters

SECONDS = 60.0
"""`timeout` is 5 unless it is set, for the handshake and for each answer."""


@asynccontextmanager
async def connected(target: Any, on_progress: Callable[[str], None]) -> AsyncIterator[Any]:
    async def progress(done: float, total: float | None, message: str | None) -> None:
        on_progress(message or "")

    if isinstance(target, str):
        params = StreamableHTTPConnectionParams(url=target, timeout=SECONDS)
    else:
        server = StdioServerParameters(command=target[0], args=target[1:])
        params = StdioConnectionParams(server_params=server, timeout=SECONDS)
    toolset = McpToolset(connection_params=params, progress_callback=progress)
    try:
        tools = {tool.name: tool for tool in await toolset.get_tools()}
        for tool in tools.values():
            json.dumps(str(tool._get_declaration()))

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            told = await tools[tool].run_async(args=arguments, tool_context=MagicMock())
            return {"text": json.dumps(told), "image": not isinstance(told, dict)}  # it goes to the model as JSON

        yield tools, call
    finally:
        await toolset.close()
