"""fastmcp: what its client makes of an answer, `.data` above all. COMMAND, ANSWER."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def main(command: list[str], answer: Path) -> None:
    transport = StdioTransport(command[0], command[1:], keep_alive=False)
    async with Client(transport, init_timeout=60) as client:
        tools = [tool.name for tool in await client.list_tools()]
        nodes = await client.call_tool("list_nodes", {})
        failed = await client.call_tool("get_run", {"run_id": "portal:"}, raise_on_error=False)
        pages = (await client.call_tool("list_runs", {"limit": 1})).data
        triage = (await client.call_tool("triage", {})).data
    seen = {
        "tools": sorted(tools),
        "read": json.dumps(nodes.data.nodes),
        "untrusted": nodes.data.untrusted,
        "error": failed.content[0].text,
        "structure": failed.structured_content,
        "notes": [pages.note, triage.note, triage.next],
    }
    answer.write_text(json.dumps(seen), encoding="utf-8")


asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
