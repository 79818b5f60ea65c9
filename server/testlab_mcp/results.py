"""From what a tool returns to what MCP carries: text and structure with the same facts, images as images."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any, get_args, get_origin

from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from testlab_tools.capabilities import Image
from testlab_tools.errors import Conflict, LabError
from testlab_tools.models import Noun
from testlab_tools.registry import Illustrated, Picture
from testlab_tools.untrusted import FROM_LAB


def result_of(value: Noun | Picture | Illustrated[Any]) -> CallToolResult:
    """A success. Some clients show the model only the structure, others only the text: both are whole."""
    if isinstance(value, Picture):
        return CallToolResult(content=[_block(value.image), TextContent(type="text", text=value.facts)])
    if isinstance(value, Illustrated):
        result = result_of(value.noun)
        if value.image is not None:
            result.content.insert(0, _block(value.image))
        return result
    data = _data(value)
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=data)


def _data(value: Noun) -> dict[str, Any]:
    data: dict[str, Any] = value.model_dump(mode="json", exclude_defaults=True)
    if fields := untrusted_fields(type(value)):
        data["untrusted"] = list(fields)
    return data


def _block(image: Image) -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(image.data).decode(), mime_type=image.media_type)


def error_result(tool: str, error: LabError) -> CallToolResult:
    """A failure, all in the text, since clients that prefer the structure show the text of errors; what somebody wrote
    about it, such as a holder's message, stands beside it, marked as untrusted."""
    text = TextContent(type="text", text=f"{tool} failed: {error}")
    details = error.details if isinstance(error, Conflict) else None
    return CallToolResult(
        content=[text], structured_content=_data(details) if isinstance(details, Noun) else None, is_error=True
    )


@cache
def untrusted_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Names of the fields, at any depth, whose text was written by devices, logs or people."""
    found: dict[str, None] = {}
    _collect(model, found, set())
    return tuple(found)


def _collect(model: type[BaseModel], found: dict[str, None], seen: set[type[BaseModel]]) -> None:
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        if _is_untrusted(field):
            found[name] = None
        for inner in _models_in(field.annotation):
            _collect(inner, found, seen)


def holds_untrusted(field: FieldInfo) -> bool:
    """Whether a field has such text in it, be it deep down."""
    return _is_untrusted(field) or any(untrusted_fields(inner) for inner in _models_in(field.annotation))


def _is_untrusted(field: FieldInfo) -> bool:
    return FROM_LAB in field.metadata or _marked(field.annotation)


def _marked(annotation: Any) -> bool:
    return FROM_LAB in getattr(annotation, "__metadata__", ()) or any(_marked(arg) for arg in get_args(annotation))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for arg in get_args(annotation) for model in _models_in(arg)]
