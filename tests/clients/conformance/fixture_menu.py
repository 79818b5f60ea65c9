"""The prompts and resources that the conformance suite asks for by name, on this server's own classes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp_types import (
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    InputRequiredResult,
    PromptArgument,
    PromptMessage,
    TextContent,
    TextResourceContents,
)

from testlab_mcp.protocol.availability import Availability
from testlab_mcp.protocol.file_contents import Contents
from testlab_mcp.protocol.prompts import PromptSpec
from testlab_mcp.protocol.resources import ResourceSpec
from testlab_mcp.protocol.subscriptions import Found, find_node
from tests.clients.conformance.fixture_tools import PNG, answered, ask_for

TOOL = "test_simple_text"
"""The tool whose right they need."""
NODE = "portal:stb-tester-00044b80f101"
Values = Mapping[str, str]


def _say(*contents: TextContent | ImageContent | EmbeddedResource) -> GetPromptResult:
    return GetPromptResult(messages=[PromptMessage(role="user", content=content) for content in contents])


@dataclass(frozen=True)
class FixturePrompt(PromptSpec):
    """A prompt of texts, as this server's own are; or of what `answer` says."""

    texts: Callable[[Values], list[str]] = lambda _: []
    answer: Callable[[Context[Any, Any], Values], GetPromptResult | InputRequiredResult] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        return (TOOL,)

    def write(self, available: Availability, given: Values) -> list[str]:
        return self.texts(given)


def _prompt(name: str, *takes: str, **how: Any) -> FixturePrompt:
    arguments = tuple(PromptArgument(name=taken, description="A text", required=True) for taken in takes)
    return FixturePrompt(name, "Fixture", "A fixture of the conformance suite.", arguments, "", lambda *_: "", **how)


def _with_resource(_: Context[Any, Any], given: Values) -> GetPromptResult:
    text = "Embedded resource content for testing."
    resource = TextResourceContents(uri=given["resourceUri"], mime_type="text/plain", text=text)
    return _say(EmbeddedResource(resource=resource), TextContent(text="Please process the embedded resource above."))


def _with_image(_: Context[Any, Any], given: Values) -> GetPromptResult:
    return _say(ImageContent(data=PNG, mime_type="image/png"), TextContent(text="Please analyze the image above."))


def _after_a_question(context: Context[Any, Any], given: Values) -> GetPromptResult | InputRequiredResult:
    said = answered(context, "user_context", "context")
    if said is None:
        return ask_for("user_context", "In which context?", context="string")
    return _say(TextContent(text=f"The context is {said}."))


PROMPTS = (
    _prompt("test_simple_prompt", texts=lambda _: ["This is a simple prompt for testing."]),
    _prompt(
        "test_prompt_with_arguments",
        "arg1",
        "arg2",
        texts=lambda given: [f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"],
    ),
    _prompt("test_prompt_with_embedded_resource", "resourceUri", answer=_with_resource),
    _prompt("test_prompt_with_image", answer=_with_image),
    _prompt("test_input_required_result_prompt", answer=_after_a_question),
)


async def _read_text(available: Availability, given: Values) -> Contents:
    return [ReadResourceContents("This is the content of the static text resource.", "text/plain")]


async def _read_binary(available: Availability, given: Values) -> Contents:
    return [ReadResourceContents(base64.b64decode(PNG), "image/png")]


async def _read_template(available: Availability, given: Values) -> Contents:
    data = {"id": given["id"], "templateTest": True, "data": f"Data for ID: {given['id']}"}
    return [ReadResourceContents(json.dumps(data), "application/json")]


def _resource(uri: str, read: Any) -> ResourceSpec:
    return ResourceSpec(uri, uri, "Fixture", "A fixture of the conformance suite.", "text/plain", TOOL, read)


STATIC = (
    _resource("test://static-text", _read_text),
    _resource("test://static-binary", _read_binary),
)
WATCHED = _resource("test://watched-{thing}", _read_text)
TEMPLATES = (_resource("test://template/{id}/data", _read_template), WATCHED)


async def find_watched(available: Availability, thing: str) -> Found:
    """What is listened to is a node of the simulated lab."""
    return await find_node(available, NODE)
