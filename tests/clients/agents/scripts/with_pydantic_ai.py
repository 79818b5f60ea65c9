"""pydantic-ai: what its agent hands to the model, seen from a model of our own. COMMAND, ANSWER."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, RetryPromptPart, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

SECONDS = 60
"""`init_timeout` is 5 unless it is set."""


async def main(command: list[str], answer: Path) -> None:
    calls: list[tuple[str, dict[str, object]]] = [("list_nodes", {}), ("get_run", {"run_id": "portal:"})]
    tools: list[str] = []
    told: list[str] = []

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        tools[:] = [tool.name for tool in info.function_tools]
        for part in messages[-1].parts:
            if isinstance(part, ToolReturnPart):
                told.append(part.model_response_str())
            if isinstance(part, RetryPromptPart):
                told.append(part.model_response())
        if len(told) == 2:
            nodes = json.loads(told[0])["nodes"]
            taken = next(node["node_id"] for node in nodes if node["state"] == "reserved")
            calls.append(("reserve_nodes", {"node_ids": [taken], "message": "mine", "duration_minutes": 5}))
        if len(told) == len(calls):
            return ModelResponse(parts=[TextPart("done")])
        name, arguments = calls[len(told)]
        return ModelResponse(parts=[ToolCallPart(name, arguments)])

    lab = MCPToolset(StdioTransport(command[0], command[1:], keep_alive=False), init_timeout=SECONDS)
    async with Agent(FunctionModel(model), toolsets=[lab]) as agent:
        await agent.run("look")
    seen = {"tools": sorted(tools), "read": told[0], "error": told[1], "conflict": told[2]}
    answer.write_text(json.dumps(seen), encoding="utf-8")


asyncio.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
