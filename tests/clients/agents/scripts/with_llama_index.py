"""llama-index-tools-mcp: what its agent hands to the model, with every default that it advertises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


def client_of(target: Any) -> BasicMCPClient:
    if isinstance(target, str):
        return BasicMCPClient(target, timeout=60)
    return BasicMCPClient(target[0], args=target[1:], timeout=60)


async def tools_of(target: Any) -> dict[str, Any]:
    return {tool.metadata.name: tool for tool in await McpToolSpec(client_of(target)).to_tool_list_async()}


def with_defaults(tool: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What a model sends that fills in the schema it is shown."""
    return tool.metadata.fn_schema(**given).model_dump()


@asynccontextmanager
async def connected(target: Any, on_progress: Callable[[str], None]) -> AsyncIterator[Any]:
    tools = await tools_of(target)

    async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        told = await tools[tool].acall(**with_defaults(tools[tool], arguments))
        return {"text": str(told.content), "image": any(block.block_type == "image" for block in told.blocks)}

    yield tools, call


async def extra(stdio: list[str], http: str) -> dict[str, Any]:
    """A list with the nulls that it advertises."""
    tool = (await tools_of(http))["list_runs"]
    sent = with_defaults(tool, {"service": "factory"})
    return {"sent": sent, "runs": str((await tool.acall(**sent)).content)}
