"""langchain-mcp-adapters (on mcp 1.30): what its agent hands to the model. COMMAND, ANSWER."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools


async def main(command: list[str], answer: Path) -> None:
    connection = {"transport": "stdio", "command": command[0], "args": command[1:]}
    client = MultiServerMCPClient({"lab": connection})
    async with client.session("lab") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}

        async def call(tool: str, **arguments: object) -> str:
            told = await tools[tool].ainvoke({"type": "tool_call", "id": "1", "name": tool, "args": arguments})
            return json.dumps(told.content)

        seen = {
            "tools": sorted(tools),
            "read": await call("list_nodes"),
            "error": await call("get_run", run_id="portal:"),
        }
    answer.write_text(json.dumps(seen), encoding="utf-8")


asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
