"""pydantic-ai: what its agent hands to the model, seen from a model of our own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelResponse,
    RetryPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

SECONDS = 60
"""`init_timeout` is 5 unless it is set."""


@asynccontextmanager
async def connected(target: Any, on_progress: Callable[[str], None]) -> AsyncIterator[Any]:
    tools: list[str] = []
    waiting: list[ToolCallPart] = []
    parts: list[Any] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        on_progress(message or "")

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        tools[:] = [tool.name for tool in info.function_tools]
        parts[:] = messages[-1].parts
        return ModelResponse(parts=[waiting.pop() if waiting else TextPart("done")])

    transport = target if isinstance(target, str) else StdioTransport(target[0], target[1:], keep_alive=False)
    lab = MCPToolset(transport, init_timeout=SECONDS, progress_handler=progress)
    async with Agent(FunctionModel(model), toolsets=[lab]) as agent:

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            waiting.append(ToolCallPart(tool, arguments))
            await agent.run("look")
            return {"text": "".join(map(text_of, parts)), "image": any(map(has_image, parts))}

        await agent.run("look")
        yield tools, call


def text_of(part: Any) -> str:
    if isinstance(part, ToolReturnPart):
        return part.model_response_str()
    return part.model_response() if isinstance(part, RetryPromptPart) else ""


def has_image(part: Any) -> bool:
    if isinstance(part, ToolReturnPart):
        return bool(part.files)
    items = part.content if isinstance(part, UserPromptPart) else ()
    return any(isinstance(item, BinaryContent) for item in items)


async def extra(stdio: list[str], http: str) -> dict[str, Any]:
    """A conflict, whose structure says more than its words."""
    async with connected(http, print) as (_, call):
        nodes = json.loads((await call("list_nodes", {}))["text"])["nodes"]
        taken = next(node["node_id"] for node in nodes if node["state"] == "reserved")
        order = {"node_ids": [taken], "message": "mine", "duration_minutes": 5}
        return {"conflict": (await call("reserve_nodes", order))["text"]}
