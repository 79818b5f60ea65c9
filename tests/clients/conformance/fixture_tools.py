"""The tools that the conformance suite calls by name.

Those of PRODUCT return what tools of this server return, and go its whole way: arguments, person, audit, result. The
others do what none of its tools does (sound, embedded resources, sampling, logging, questions of other shapes) and
return the SDK's results themselves; arguments, access, audit and time are still this server's.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolResult,
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    ImageContent,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    MissingRequiredClientCapabilityErrorData,
    SamplingCapability,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

from testlab_tools.capabilities import Image, Service
from testlab_tools.errors import LabError
from testlab_tools.models.lab import ResultModel
from testlab_tools.registry import LOOK, Call, Picture, Question, ToolSpec

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = base64.b64encode(
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"
).decode()
Answer = CallToolResult | InputRequiredResult


class Said(ResultModel):
    """A sentence."""

    text: str


async def test_simple_text(call: Call) -> Said:
    """Say a sentence."""
    return Said(text="This is a simple text response for testing.")


async def test_image_content(call: Call) -> Picture:
    """Show a picture of one point."""
    return Picture(Image(base64.b64decode(PNG), "image/png"), "A red point.")


async def test_error_handling(call: Call) -> Said:
    """Fail."""
    raise LabError("This tool intentionally returns an error for testing", "", "Go on.")


async def test_tool_with_progress(call: Call) -> Said:
    """Tell of three steps."""
    for done in (0, 50, 100):
        await call.progress(done, 100, f"{done} of 100")
    return Said(text="Three steps.")


async def ask_to_go_on(call: Call, **_: Any) -> Question:
    return Question("Go on?", "everything")


async def test_streaming_elicitation(call: Call, confirm: str = "") -> Said:
    """Ask a person, as this server's own tools do."""
    return Said(text="Agreed.")


async def test_input_required_result_tampered_state(call: Call, confirm: str = "") -> Said:
    """Ask a person, and seal the question's state, as this server's own tools do."""
    return Said(text="Agreed.")


async def test_x_mcp_header(
    call: Call, region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = ""
) -> Said:
    """Take an argument that is in a header as well."""
    return Said(text=region)


async def json_schema_2020_12_tool(call: Call) -> Said:
    """Advertise more of JSON Schema than this server's own tools do."""
    return Said(text="Advertised.")


def _blocks(*blocks: TextContent | ImageContent | AudioContent | EmbeddedResource) -> CallToolResult:
    return CallToolResult(content=list(blocks))


def _text(text: str) -> CallToolResult:
    return _blocks(TextContent(text=text))


def _embedded(uri: str, media_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=media_type, text=text))


async def test_audio_content(context: Context) -> Answer:
    """Play nothing."""
    return _blocks(AudioContent(data=WAV, mime_type="audio/wav"))


async def test_embedded_resource(context: Context) -> Answer:
    """Hand over a resource."""
    return _blocks(_embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))


async def test_multiple_content_types(context: Context) -> Answer:
    """Hand over a text, a picture and a resource."""
    return _blocks(
        TextContent(text="Multiple content types test:"),
        ImageContent(data=PNG, mime_type="image/png"),
        _embedded("test://mixed-content-resource", "application/json", json.dumps({"test": "data", "value": 123})),
    )


async def test_tool_with_logging(context: Context) -> Answer:
    """Log three lines to the client."""
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.session.send_log_message("info", line, related_request_id=context.request_id)  # pyright: ignore[reportDeprecated]
    return _text("Logged.")


async def test_logging_tool(context: Context) -> Answer:
    """Log a line to the client, if it asked for that."""
    return await test_tool_with_logging(context)


async def test_sampling(context: Context, prompt: str) -> Answer:
    """Have the client's model answer."""
    message = SamplingMessage(role="user", content=TextContent(text=prompt))
    said = await context.session.create_message([message], max_tokens=100, related_request_id=context.request_id)  # pyright: ignore[reportDeprecated]
    return _text(f"LLM response: {said.content}")


async def test_missing_capability(context: Context) -> Answer:
    """Need a capability that the client may not have."""
    capabilities = context.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        needed = MissingRequiredClientCapabilityErrorData(
            required_capabilities=ClientCapabilities(sampling=SamplingCapability())
        )
        data = needed.model_dump(by_alias=True, exclude_none=True)
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "The client has no sampling", data)
    return _text("It has.")


async def _elicit(context: Context, message: str, schema: dict[str, Any]) -> Answer:
    asked = await context.session.elicit_form(message, schema, related_request_id=context.request_id)
    return _text(f"Elicitation completed: action={asked.action}, content={json.dumps(asked.content)}")


def _form(**properties: Any) -> dict[str, Any]:
    fields = {name: {"type": field} if isinstance(field, str) else field for name, field in properties.items()}
    return {"type": "object", "properties": fields, "required": list(fields)}


async def test_elicitation(context: Context, message: str) -> Answer:
    """Ask for a name and an address."""
    return await _elicit(context, message, _form(username="string", email="string"))


async def test_elicitation_sep1034_defaults(context: Context) -> Answer:
    """Ask with a default for each kind of field."""
    states = ["active", "inactive", "pending"]
    form = _form(
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": states, "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    return await _elicit(context, "Who are you?", form)


async def test_elicitation_sep1330_enums(context: Context) -> Answer:
    """Ask with each kind of choice."""
    plain = ["option1", "option2", "option3"]
    titled = [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]
    form = _form(
        untitledSingle={"type": "string", "enum": plain},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["One", "Two"]},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": plain}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )
    return await _elicit(context, "Which?", form)


def ask_for(key: str, message: str, state: str | None = None, **fields: str) -> InputRequiredResult:
    """The answer that puts a question to the person."""
    asked: dict[str, InputRequest] = {key: _question(message, **fields)}
    return InputRequiredResult(input_requests=asked, request_state=state)


def _question(message: str, **fields: str) -> ElicitRequest:
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=_form(**fields)))


def _sample(text: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))


def answered(context: Context, key: str, field: str) -> Any:
    """What the person entered; None while the question is open."""
    response = (context.input_responses or {}).get(key)
    return (response.content or {}).get(field) if isinstance(response, ElicitResult) else None


async def test_input_required_result_elicitation(context: Context) -> Answer:
    """Ask for a name."""
    name = answered(context, "user_name", "name")
    if name is None:
        return ask_for("user_name", "What is your name?", name="string")
    return _text(f"Hello, {name}!")


async def test_input_required_result_sampling(context: Context) -> Answer:
    """Have the client's model answer."""
    if said := (context.input_responses or {}).get("capital_question"):
        return _text(str(said))
    return InputRequiredResult(input_requests={"capital_question": _sample("What is the capital of France?")})


async def test_input_required_result_list_roots(context: Context) -> Answer:
    """Ask for the client's roots."""
    if roots := (context.input_responses or {}).get("client_roots"):
        return _text(str(roots))
    return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})


async def test_input_required_result_request_state(context: Context) -> Answer:
    """Ask, and want the state of the question back."""
    if answered(context, "confirm", "ok") is None:
        return ask_for("confirm", "Please confirm", "asked", ok="boolean")
    return _text("state-ok" if context.request_state == "asked" else "the state is another")


async def test_input_required_result_multiple_inputs(context: Context) -> Answer:
    """Ask for three things at once."""
    asked: dict[str, InputRequest] = {
        "user_name": _question("What is your name?", name="string"),
        "greeting": _sample("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    if set(context.input_responses or {}) >= set(asked):
        return _text("Three answers.")
    return InputRequiredResult(input_requests=asked, request_state="asked")


async def test_input_required_result_multi_round(context: Context) -> Answer:
    """Ask twice."""
    if (color := answered(context, "step2", "color")) is not None:
        return _text(f"{context.request_state} likes {color}.")
    if (name := answered(context, "step1", "name")) is not None:
        return ask_for("step2", "Step 2: What is your favorite color?", str(name), color="string")
    return ask_for("step1", "Step 1: What is your name?", "nobody", name="string")


async def test_input_required_result_capabilities(context: Context) -> Answer:
    """Ask for what the client can do."""
    can = context.client_capabilities or ClientCapabilities()
    asked: dict[str, InputRequest] = {}
    if can.sampling:
        asked["sample"] = _sample("Anything")
    if can.elicitation:
        asked["elicit"] = _question("Anything?", value="string")
    return InputRequiredResult(input_requests=asked) if asked else _text("It can nothing.")


async def greet(context: Context, name: str) -> Answer:
    """Greet."""
    return _text(f"Hello, {name}!")


async def slow_compute(call: Call, seconds: float = 0, label: str = "") -> Said:
    """Take some seconds."""
    for second in range(int(seconds)):
        await call.progress(second, seconds, f"{second} of {seconds:g} s")
        await asyncio.sleep(1)
    return Said(text=f"Computed {label}.")


async def failing_job(call: Call) -> Said:
    """Take a second, and fail."""
    await asyncio.sleep(1)
    raise LabError("This job fails", "", "Go on.")


async def protocol_error_job(context: Context) -> Answer:
    """Take a second, and break."""
    await asyncio.sleep(1)
    raise MCPError(INTERNAL_ERROR, "This job breaks")


async def confirm_delete(context: Context, filename: str) -> Answer:
    """Take a second, and ask."""
    await asyncio.sleep(1)
    if (agreed := answered(context, "agreed", "confirm")) is None:
        return ask_for("agreed", f"Delete {filename}?", "asked", confirm="boolean")
    return _text(f"Agreed: {agreed}, {context.request_state}.")


async def multi_input(context: Context) -> Answer:
    """Take a second, and ask two things."""
    await asyncio.sleep(1)
    asked: dict[str, InputRequest] = {key: _question(f"{key}?", name="string") for key in ("first", "second")}
    names = [answered(context, key, "name") for key in asked]
    return _text(f"{names}") if all(names) else InputRequiredResult(input_requests=asked)


async def test_tool_with_task(context: Context) -> Answer:
    """Ask at once, then take a second."""
    if (name := answered(context, "user_name", "name")) is None:
        return ask_for("user_name", "What is your name?", name="string")
    await asyncio.sleep(1)
    return _text(f"Hello, {name}!")


PRODUCT = (
    slow_compute,
    failing_job,
    test_simple_text,
    test_image_content,
    test_error_handling,
    test_tool_with_progress,
    test_streaming_elicitation,
    test_input_required_result_tampered_state,
    test_x_mcp_header,
    json_schema_2020_12_tool,
)
RAW = (
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_tool_with_logging,
    test_logging_tool,
    test_sampling,
    test_missing_capability,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
    greet,
    protocol_error_job,
    confirm_delete,
    multi_input,
    test_tool_with_task,
)
LONG = frozenset(
    each.__name__
    for each in (slow_compute, failing_job, protocol_error_job, confirm_delete, multi_input, test_tool_with_task)
)
"""Calls that can become tasks."""
ONLY_AS_TASKS = frozenset({failing_job.__name__})
ASKING = (test_streaming_elicitation, test_input_required_result_tampered_state)


class FixtureTool(ToolSpec):
    """A tool whose answer is said to be an image where it is made of MCP's own types."""

    @property
    def returns(self) -> type[Said] | type[Picture]:  # type: ignore[override]
        return Picture if self.handler is test_image_content or self.handler in RAW else Said


SPECS = [
    FixtureTool(
        name=handler.__name__,
        toolset="runs",
        access="observe",
        needs=Service,
        hints=LOOK,
        handler=handler,
        asks=ask_to_go_on if handler in ASKING else None,
        title="Fixture",
    )
    for handler in (*PRODUCT, *RAW)
]
