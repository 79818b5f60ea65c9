"""`testlab-mcp` with the fixtures of the conformance suite beside its own tools, prompts and resources.

    python -m tests.clients.conformance.fixture_server serve --config F --http 127.0.0.1:0

Catalogs are replaced before the server's modules read them; everything between the socket and a fixture is the product.
"""

from __future__ import annotations

import sys
from typing import Any

from testlab_tools import tools
from tests.clients.conformance import fixture_tools as fixtures

_ALL = (*tools.all_tools(), *fixtures.SPECS)
tools.all_tools = lambda: _ALL

from testlab_mcp.protocol import prompts, resources
from testlab_mcp.protocol.tasks import long_calls
from tests.clients.conformance import fixture_menu as menu

prompts.PROMPTS = (*prompts.PROMPTS, *menu.PROMPTS)
resources.TEMPLATES = (*resources.TEMPLATES, *menu.STATIC, *menu.TEMPLATES)
long_calls.READING |= fixtures.LONG

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, require_client_extension
from mcp_types import (
    CallToolRequestParams,
    EmptyResult,
    GetPromptResult,
    InputRequiredResult,
    Resource,
    ResourceTemplate,
    SetLevelRequestParams,
)

from testlab_mcp.audit.log import AuditedCall
from testlab_mcp.commands.main import main
from testlab_mcp.protocol import server, subscriptions
from testlab_mcp.protocol.availability import current_availability
from testlab_mcp.protocol.tasks.extension import EXTENSION, Tasks
from testlab_mcp.protocol.tool import LabTool
from testlab_tools.registry import Call

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


class FixtureTool(LabTool):
    """A tool of the product, or one that returns the SDK's results itself."""

    @classmethod
    def of(cls, *bound: Any) -> LabTool:
        made = super().of(*bound)
        if made.name == fixtures.json_schema_2020_12_tool.__name__:
            made.parameters = SCHEMA
        return made

    async def _execute(
        self, call: Call, arguments: dict[str, Any], context: Context[Any, Any], audited: AuditedCall
    ) -> Any:
        if self._spec.handler not in fixtures.RAW:
            return await super()._execute(call, arguments, context, audited)
        valid = self._arguments.validate(arguments)
        await audited.start()
        return await self._spec.handler(context, **valid)


class FixtureServer(server.LabServer):
    """The product's server, which takes a level for a log that only the fixtures write."""

    def __init__(self, *of: Any, **options: Any) -> None:
        super().__init__(*of, **options)
        self._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, _accept)

    async def list_resources(self) -> list[Resource]:
        listed = [Resource(uri=spec.uri, name=spec.name, description=spec.description) for spec in menu.STATIC]
        return [*await super().list_resources(), *listed]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return [template for template in await super().list_resource_templates() if "{" in template.uri_template]

    async def get_prompt(  # type: ignore[override]
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Any, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        prompt = prompts.find_prompt(current_availability(), name)
        if isinstance(prompt, menu.FixturePrompt) and prompt.answer is not None:
            assert context is not None
            return prompt.answer(context, prompts.check_arguments(prompt, arguments or {}))
        return await super().get_prompt(name, arguments, context)


class FixtureTasks(Tasks):
    """The product's tasks, and calls that are answered with a task or not at all."""

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        if params.name in fixtures.ONLY_AS_TASKS:
            require_client_extension(ctx, EXTENSION)
        return await super().intercept_tool_call(params, ctx, call_next)


async def _accept(ctx: Any, params: Any) -> EmptyResult:
    return EmptyResult()


subscriptions.FINDERS = {**subscriptions.FINDERS, menu.WATCHED.name: menu.find_watched}
server.LabTool = FixtureTool  # type: ignore[misc]
server.LabServer = FixtureServer  # type: ignore[misc]
server.Tasks = FixtureTasks  # type: ignore[misc]

if __name__ == "__main__":
    sys.exit(main())
