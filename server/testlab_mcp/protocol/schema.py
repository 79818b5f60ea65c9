"""A tool's arguments: a lean JSON schema, repair, and validation that says what to mend; a result's schema."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from testlab_mcp.protocol.results import find_untrusted_fields
from testlab_tools.errors import BadInput, nearest
from testlab_tools.registry import ToolSpec

NOISE = ("title", "minLength", "maxLength", "minimum", "additionalProperties")
_ABSENT = object()
_HALF_PAIR = re.compile("[\ud800-\udfff]")


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
        """The input schema: no titles, no references, no empty defaults, unknown arguments refused. No enum has an
        empty text, which some models' APIs refuse; it is accepted all the same."""
        full = self.model.model_json_schema()
        lean = _trim(full, full.get("$defs", {}))
        return {"type": "object", "properties": {}, **lean, "additionalProperties": False}

    def repair(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the client meant them, not validated yet."""
        return repair_arguments(given, self.model)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the handler takes them.

        Raises:
            BadInput: names the argument and what it takes; never repeats the value.
        """
        for name in given:
            if name not in self.model.model_fields:
                raise BadInput(f"{self._tool.name} has no argument {_show_name(name)}", "", self._hint_at(name))
            if not _is_text(given[name]):
                raise BadInput(f"{self._tool.name}: {name} has half a surrogate pair in it, which is no text", "", "")
        try:
            valid = self.model.model_validate(given)
        except ValidationError as error:
            raise BadInput(f"{self._tool.name}: {'; '.join(_list_problems(error))}", "", "") from None
        return {name: getattr(valid, name) for name in self.model.model_fields}

    def _hint_at(self, name: str) -> str:
        known = list(self.model.model_fields)
        near = nearest(name, known, cutoff=0.75)
        return f"Did you mean {near[0]}?" if near else f"It takes: {', '.join(known)}."


def _is_text(value: Any) -> bool:
    """Whether all texts in a JSON value can be written as UTF-8: no database and no service takes others."""
    if isinstance(value, str):
        return value.isascii() or not _HALF_PAIR.search(value)
    if isinstance(value, dict):
        return all(_is_text(part) for pair in cast(dict[str, Any], value).items() for part in pair)
    return not isinstance(value, list) or all(map(_is_text, cast(list[Any], value)))


@cache
def read_arguments(tool: ToolSpec) -> Arguments:
    """A tool's arguments, read once however many servers have the tool: pydantic takes milliseconds for each."""
    return Arguments(tool)


def build_output_schema(model: type[BaseModel]) -> dict[str, Any]:
    """One level of the result's shape: a nested one costs hundreds of tokens a tool and no client needs it.

    A result that can hold text from the lab has `untrusted`, the list of the fields that do. Read off the annotations:
    having pydantic build the models for it would cost a tenth of a server's start.
    """
    fields = {
        name: _shallow_schema(field.annotation) for name, field in model.model_fields.items() if not field.exclude
    }
    listed = {"untrusted": {"type": "array"}} if find_untrusted_fields(model) else {}
    return {"type": "object", "properties": fields | listed}


_JSON_TYPES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", datetime: "string"}


def _shallow_schema(annotation: Any) -> dict[str, Any]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _shallow_schema(inner[0])
    if origin is Literal:
        return _shallow_schema(type(inner[0]))
    if origin is list:
        return {"type": "array"}
    if origin in (Union, UnionType):
        return _shallow_schema(next(option for option in inner if option is not NoneType))
    return {"type": _JSON_TYPES.get(annotation, "object")}


def _trim(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_trim(item, definitions) for item in node]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(node, dict):
        return node
    schema: dict[str, Any] = dict(node)  # pyright: ignore[reportUnknownArgumentType]
    if "$ref" in schema:
        target = definitions[schema.pop("$ref").rpartition("/")[2]]
        schema = {**{k: v for k, v in target.items() if k != "description"}, **schema}
    lean: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            lean[key] = {name: _trim(field, definitions) for name, field in value.items()}
        elif key == "additionalProperties" and isinstance(value, dict):
            lean[key] = _trim(value, definitions)
        elif key == "enum":
            lean[key] = [option for option in value if option != ""]
        elif key not in NOISE and key != "$defs" and not (key == "default" and value in ("", [], {}, 0, False, None)):
            lean[key] = _trim(value, definitions) if key == "items" else value
    return lean


def _list_problems(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(_show_name(str(part)) for part in e['loc'])} {_explain(e['type'], e['msg'])}"
        for e in error.errors(include_url=False, include_input=False)[:3]
    ]


def _explain(problem: str, message: str) -> str:
    if problem == "missing":
        return "is missing"
    if problem == "extra_forbidden":
        return "is not known here"
    return (
        message.replace("Input should", "should").replace("Value error, ", "").replace("should be '', ", "should be ")
    )


def _show_name(name: str) -> str:
    """A name as the caller wrote it, if it is a name: what a caller sends may be text that the lab wrote."""
    return name if name.replace("_", "").isalnum() and name.isascii() and len(name) <= 40 else "(a name not shown)"


def repair_arguments(given: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The arguments of `model` as they were meant, where a client cannot have meant them as they stand; validation says
    what is wrong with the rest.

    Some clients send every optional argument, with a null or an empty text for those that the model left out, and some
    send a list as its JSON text. A null is an absent argument, and so is an empty text where no text can be meant, or
    where the default is another text. The JSON text of a list or an object is that list or object, where one is wanted.
    """
    repaired: dict[str, Any] = {}
    for name, value in given.items():
        field = model.model_fields.get(name)
        if field is None:
            repaired[name] = value
        elif value != "" or not isinstance(field.default, str) or not field.default:
            repaired[name] = _repair(value, field.annotation)
    return {name: value for name, value in repaired.items() if value is not _ABSENT}


def _repair(value: Any, annotation: Any) -> Any:
    """A value as it was meant, or _ABSENT; arguments have no unions, except with None."""
    if get_origin(annotation) is Annotated:
        return _repair(value, get_args(annotation)[0])
    if value is None or (value == "" and annotation is not str and "" not in get_args(annotation)):
        return _ABSENT
    origin: Any = get_origin(annotation)
    model: type[BaseModel] | None = None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        model, origin = annotation, dict
    if isinstance(value, str) and origin in (list, dict):
        value = _parse(value, origin)
    if isinstance(value, dict) and model is not None:
        return repair_arguments(cast(dict[str, Any], value), model)
    if isinstance(value, list) and origin is list:
        items = [(item, _repair(item, get_args(annotation)[0])) for item in cast(list[Any], value)]
        return [item if repaired is _ABSENT else repaired for item, repaired in items]
    return cast(Any, value)


def _parse(text: str, wanted: type[Any]) -> Any:
    """The list or object that a text is as JSON, or the text."""
    if text.lstrip()[:1] not in ("[", "{"):
        return text
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return parsed if isinstance(parsed, wanted) else text
