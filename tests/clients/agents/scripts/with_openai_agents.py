"""openai-agents: what its agent hands to the model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from agents.mcp import MCPServerStdio, MCPServerStreamableHttp, MCPUtil
from agents.tool_context import ToolContext

SECONDS = 60
"""`client_session_timeout_seconds` is 5 unless it is set, for the handshake too."""


@asynccontextmanager
async def connected(target: Any, on_progress: Callable[[str], None]) -> AsyncIterator[Any]:
    if isinstance(target, str):
        server = MCPServerStreamableHttp({"url": target}, client_session_timeout_seconds=SECONDS)
    else:
        params = {"command": target[0], "args": target[1:]}
        server = MCPServerStdio(params, client_session_timeout_seconds=SECONDS)
    async with server:
        tools = {tool.name: tool for tool in await server.list_tools()}

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            context = ToolContext(None, tool_name=tool, tool_call_id="1", tool_arguments="")
            told = await MCPUtil.invoke_mcp_tool(server, tools[tool], context, json.dumps(arguments))
            items = told if isinstance(told, list) else [told]
            text = "".join(item if isinstance(item, str) else item.get("text", "") for item in items)
            return {"text": text, "image": any(isinstance(i, dict) and i["type"] == "image" for i in items)}

        yield tools, call
