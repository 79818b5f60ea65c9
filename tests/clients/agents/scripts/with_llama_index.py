"""llama-index-tools-mcp: what its agent hands to the model, with every default that it advertises. COMMAND, ANSWER."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


async def main(command: list[str], answer: Path) -> None:
    client = BasicMCPClient(command[0], args=command[1:], timeout=60)
    tools = {tool.metadata.name: tool for tool in await McpToolSpec(client).to_tool_list_async()}

    def with_defaults(tool: str, **given: object) -> dict[str, object]:
        """What a model sends that fills in the schema it is shown."""
        return tools[tool].metadata.fn_schema(**given).model_dump()

    async def call(tool: str, arguments: dict[str, object]) -> str:
        return str((await tools[tool].acall(**arguments)).content)

    sent = with_defaults("list_runs", service="factory")
    seen = {
        "tools": sorted(tools),
        "read": await call("list_nodes", with_defaults("list_nodes")),
        "error": await call("get_run", with_defaults("get_run", run_id="portal:")),
        "sent": sent,
        "runs": await call("list_runs", sent),
    }
    answer.write_text(json.dumps(seen), encoding="utf-8")


asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
