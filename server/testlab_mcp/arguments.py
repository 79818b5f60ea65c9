"""A tool's arguments: a lean JSON schema for the client, and validation that tells the model what to mend."""

from __future__ import annotations

import inspect
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from testlab_mcp.results import holds_untrusted
from testlab_tools.errors import BadInput
from testlab_tools.registry import ToolSpec

_NOISE = ("title", "minLength", "maxLength", "minimum", "additionalProperties")


class Arguments:
    """The arguments of one tool, read from its handler's signature at first use."""

    def __init__(self, tool: ToolSpec) -> None:
        self._tool = tool

    @cached_property
    def model(self) -> type[BaseModel]:
        """A pydantic model of the arguments: what is not in it is an error."""
        hints = get_type_hints(self._tool.handler, include_extras=True)
        fields: dict[str, Any] = {}
        for name, parameter in list(inspect.signature(self._tool.handler).parameters.items())[1:]:
            required = parameter.default is inspect.Parameter.empty
            fields[name] = (hints[name], ... if required else parameter.default)
        return create_model(self._tool.name, __config__=ConfigDict(extra="forbid"), **fields)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The input schema: no titles, no references, no empty defaults, unknown arguments refused."""
        full = self.model.model_json_schema()
        lean = _lean(full, full.get("$defs", {}))
        return {"type": "object", "properties": {}, **lean, "additionalProperties": False}

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the handler takes them.

        Raises:
            BadInput: names the argument and what it takes; never repeats the value.
        """
        for name in given:
            if name not in self.model.model_fields:
                raise BadInput(f"{self._tool.name} has no argument {_safe(name)}", "", self._nearest(name))
        try:
            valid = self.model.model_validate(given)
        except ValidationError as error:
            raise BadInput(f"{self._tool.name}: {'; '.join(_complaints(error))}", "", "") from None
        return {name: getattr(valid, name) for name in self.model.model_fields}

    def _nearest(self, name: str) -> str:
        known = list(self.model.model_fields)
        near = get_close_matches(name, known, n=1, cutoff=0.75)
        return f"Did you mean {near[0]}?" if near else f"It takes: {', '.join(known)}."


def output_schema(model: type[BaseModel]) -> dict[str, Any]:
    """One level of the result's shape: a nested one costs hundreds of tokens a tool and no client needs it.

    What holds text from the lab is described as untrusted. `note` and `next`, our own words that any result may have,
    and `untrusted`, the list of such fields, are left out. Read off the annotations: having pydantic build the models
    for it would cost a tenth of a server's start.
    """
    fields = [(name, field) for name, field in model.model_fields.items() if not field.exclude and name not in _SPOKEN]
    marks = {name: {"description": "untrusted"} if holds_untrusted(field) else {} for name, field in fields}
    return {
        "type": "object",
        "properties": {name: {**_shallow(field.annotation), **marks[name]} for name, field in fields},
    }


_SPOKEN = ("note", "next")
_JSON_TYPES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", datetime: "string"}


def _shallow(annotation: Any) -> dict[str, Any]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _shallow(inner[0])
    if origin is Literal:
        return _shallow(type(inner[0]))
    if origin is list:
        items = _shallow(inner[0])
        return {"type": "array"} if items == {"type": "object"} else {"type": "array", "items": items}
    if origin in (Union, UnionType):
        return _shallow(next(option for option in inner if option is not NoneType))
    return {"type": _JSON_TYPES.get(annotation, "object")}


def _lean(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_lean(item, definitions) for item in node]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(node, dict):
        return node
    schema: dict[str, Any] = dict(node)  # pyright: ignore[reportUnknownArgumentType]
    if "$ref" in schema:
        target = definitions[schema.pop("$ref").rpartition("/")[2]]
        schema = {**{k: v for k, v in target.items() if k != "description"}, **schema}
    lean: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            lean[key] = {name: _lean(field, definitions) for name, field in value.items()}
        elif key == "additionalProperties" and isinstance(value, dict):
            lean[key] = _lean(value, definitions)
        elif key not in _NOISE and key != "$defs" and not (key == "default" and value in ("", [], {}, 0, False, None)):
            lean[key] = _lean(value, definitions) if key == "items" else value
    return lean


def _complaints(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(_safe(str(part)) for part in e['loc'])} {_words(e['type'], e['msg'])}"
        for e in error.errors(include_url=False, include_input=False)[:3]
    ]


def _words(problem: str, message: str) -> str:
    if problem == "missing":
        return "is missing"
    if problem == "extra_forbidden":
        return "is not known here"
    return message.replace("Input should", "should").replace("Value error, ", "")


def _safe(name: str) -> str:
    """A name as the caller wrote it, if it is one; callers can be fed by anybody."""
    return name if name.replace("_", "").isalnum() and name.isascii() and len(name) <= 40 else "(a name not shown)"
