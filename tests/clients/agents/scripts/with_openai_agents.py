"""openai-agents: what its agent hands to the model. COMMAND, ANSWER."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from agents.mcp import MCPServerStdio, MCPUtil
from agents.tool_context import ToolContext

SECONDS = 60
"""`client_session_timeout_seconds` is 5 unless it is set, for the handshake too."""


async def main(command: list[str], answer: Path) -> None:
    params = {"command": command[0], "args": command[1:]}
    async with MCPServerStdio(params, client_session_timeout_seconds=SECONDS) as server:
        tools = {tool.name: tool for tool in await server.list_tools()}

        async def call(tool: str, **arguments: object) -> str:
            context = ToolContext(None, tool_name=tool, tool_call_id="1", tool_arguments="")
            return str(await MCPUtil.invoke_mcp_tool(server, tools[tool], context, json.dumps(arguments)))

        seen = {
            "tools": sorted(tools),
            "read": await call("list_nodes"),
            "error": await call("get_run", run_id="portal:"),
        }
    answer.write_text(json.dumps(seen), encoding="utf-8")


asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
