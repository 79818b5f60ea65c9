"""The SDK's server with a menu. The SDK makes resources and prompts of functions, with one MIME type per template and
errors of its own; its public methods are overridden instead, so nothing is built before somebody asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import GetPromptResult, Prompt, Resource, ResourceTemplate
from pydantic import AnyUrl

from testlab_mcp.menu.completion import Completer
from testlab_mcp.menu.offer import Offer
from testlab_mcp.menu.prompts import prompts, written
from testlab_mcp.menu.resources import read, resources, templates


class MenuServer(MCPServer[None]):
    """A server whose resources, prompts and completions are those of `offer`; all else as `MCPServer` takes it."""

    def __init__(self, offer: Offer, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._offer = offer
        self.completion()(Completer(offer))

    async def list_resources(self) -> list[Resource]:
        """The resources that have a URI of their own."""
        return resources()

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """The templates whose tool is exposed."""
        return templates(self._offer)

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[None, Any] | None = None
    ) -> Iterable[ReadResourceContents]:
        """The contents behind a URI. Raises MCPError."""
        return await read(self._offer, str(uri))

    async def list_prompts(self) -> list[Prompt]:
        """The prompts whose tools are exposed."""
        return prompts(self._offer)

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[None, Any] | None = None
    ) -> GetPromptResult:
        """A prompt's messages. Raises MCPError."""
        return await written(self._offer, name, arguments or {})
