"""The SDK's server with a menu. The SDK makes resources and prompts of functions, with one MIME type per template and
errors of its own; its public methods are overridden instead, so nothing is built before somebody asks."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import GetPromptResult, Prompt, Resource, ResourceTemplate
from pydantic import AnyUrl

from testlab_mcp.menu.completion import Completer
from testlab_mcp.menu.offer import Offer
from testlab_mcp.menu.prompts import RECIPES, prompts, written
from testlab_mcp.menu.resources import read, resources, templates, tool_behind

KEY_PRESS = "completion/complete"
"""Asked as the user types, and counted apart from calls."""
METHODS = frozenset(
    {
        *("resources/list", "resources/templates/list", "resources/read"),
        *("prompts/list", "prompts/get", KEY_PRESS),
    }
)
"""Requests about the menu. Each is answered within `offering`."""
READS = frozenset({"resources/read", "prompts/get"})
"""Those of them that a person asks for, not a key press."""
_OFFERED: ContextVar[Offer] = ContextVar("offered")


@contextmanager
def offering(offer: Offer) -> Generator[None]:
    """Answer a request with what its caller is offered."""
    before = _OFFERED.set(offer)
    try:
        yield
    finally:
        _OFFERED.reset(before)


def needed(method: str, params: Mapping[str, Any]) -> str:
    """The tool whose right a read needs first; empty where it needs none, or there is no such thing to read."""
    if method == "resources/read":
        return tool_behind(str(params.get("uri", "")))
    return next((recipe.needs[0] for recipe in RECIPES if recipe.name == params.get("name")), "")


class MenuServer(MCPServer[None]):
    """A server whose resources, prompts and completions are those that the caller is offered; all else as `MCPServer`
    takes it."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.completion()(Completer(_OFFERED.get))

    async def list_resources(self) -> list[Resource]:
        """The resources that have a URI of their own."""
        return resources()

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """The templates whose tool is exposed."""
        return templates(_OFFERED.get())

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[None, Any] | None = None
    ) -> Iterable[ReadResourceContents]:
        """The contents behind a URI. Raises MCPError."""
        return await read(_OFFERED.get(), str(uri))

    async def list_prompts(self) -> list[Prompt]:
        """The prompts whose tools are exposed."""
        return prompts(_OFFERED.get())

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[None, Any] | None = None
    ) -> GetPromptResult:
        """A prompt's messages. Raises MCPError."""
        return await written(_OFFERED.get(), name, arguments or {})
