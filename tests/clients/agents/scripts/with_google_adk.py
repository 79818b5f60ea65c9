"""google-adk: what its agent hands to the model. COMMAND, ANSWER."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams
from mcp import StdioServerParameters

SECONDS = 60.0
"""`timeout` is 5 unless it is set, for the handshake and for each answer."""


async def main(command: list[str], answer: Path) -> None:
    server = StdioServerParameters(command=command[0], args=command[1:])
    toolset = McpToolset(connection_params=StdioConnectionParams(server_params=server, timeout=SECONDS))
    try:
        tools = {tool.name: tool for tool in await toolset.get_tools()}

        async def call(tool: str, **arguments: object) -> str:
            return json.dumps(await tools[tool].run_async(args=arguments, tool_context=MagicMock()))

        seen = {
            "tools": sorted(tools),
            "declared": [json.dumps(str(tool._get_declaration())) for tool in tools.values()],
            "read": await call("list_nodes"),
            "error": await call("get_run", run_id="portal:"),
        }
    finally:
        await toolset.close()
    answer.write_text(json.dumps(seen), encoding="utf-8")


asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
