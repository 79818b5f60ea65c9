"""From what a tool returns to what MCP carries: text and structure with the same facts, images as images."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any, cast, get_args, get_origin

from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from testlab_tools.capabilities import Image
from testlab_tools.errors import Conflict, LabError
from testlab_tools.models import Noun
from testlab_tools.registry import Illustrated, Picture
from testlab_tools.untrusted import FROM_LAB

MOST_CHARS = 200_000
"""Of an answer: some 60,000 tokens, far more than anybody asks for."""

_SHORTER = (400, 100, 30)


def result_of(value: Noun | Picture | Illustrated[Any]) -> CallToolResult:
    """A success. Some clients show the model only the structure, others only the text: both are whole."""
    if isinstance(value, Picture):
        return CallToolResult(content=[_block(value.image), TextContent(type="text", text=value.facts)])
    if isinstance(value, Illustrated):
        result = result_of(value.noun)
        if value.image is not None:
            result.content.insert(0, _block(value.image))
        return result
    data, text = _fitting(_data(value))
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=data)


def _fitting(data: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """An answer and its text. One that is too long has what others wrote cut shorter, and its note says so.

    Raises:
        LabError: it is too long without these.
    """
    text = _text(data)
    for limit in _SHORTER:
        if len(text) <= MOST_CHARS:
            return data, text
        said = f"Too long as a whole: texts are cut to {limit} characters. Ask for less at once."
        shorter = {name: _cut(item, frozenset(data.get("untrusted", ())), limit, name) for name, item in data.items()}
        shorter["note"] = f"{data.get('note', '')} {said}".strip()
        text = _text(shorter)
        if len(text) <= MOST_CHARS:
            return shorter, text
    raise LabError("The answer is too long", f"It has {len(text)} characters", "Ask for less at once.")


def _cut(value: Any, untrusted: frozenset[str], limit: int, name: str, inside: bool = False) -> Any:
    inside = inside or name in untrusted
    if isinstance(value, dict):
        members = cast(dict[str, Any], value).items()
        return {key: _cut(item, untrusted, limit, key, inside) for key, item in members}
    if isinstance(value, list):
        return [_cut(item, untrusted, limit, name, inside) for item in cast(list[Any], value)]
    return value[:limit] + "… [cut]" if inside and isinstance(value, str) and len(value) > limit else value


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


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
