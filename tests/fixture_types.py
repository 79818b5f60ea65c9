"""Types of fixtures that many tests ask for."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from mcp import Client


class Connect(Protocol):
    """Opens an MCP client of a server made from the text of a config."""

    def __call__(self, config: str, mode: str = "auto") -> AbstractAsyncContextManager[Client]: ...


class ToolCaller(Protocol):
    """Calls a tool that must succeed, and returns its structured answer."""

    async def __call__(self, client: Client, tool: str, **arguments: object) -> dict[str, Any]: ...


class RefusedCaller(Protocol):
    """Calls a tool that must fail, and returns what is said of it."""

    async def __call__(self, client: Client, tool: str, **arguments: object) -> str: ...
