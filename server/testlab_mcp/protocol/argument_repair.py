"""Repairs arguments that a client cannot have meant as they stand; the rest is left for validation.

Some clients send every optional argument, with a null or an empty text for those that the model left out, and some send
a list as its JSON text. A null is an absent argument, and so is an empty text where no text can be meant; the JSON text
of a list or an object is that list or object, where one is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

MAX_DEPTH = 20
_ABSENT = object()


def repair_arguments(given: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The arguments of `model` as they were meant."""
    return _repair_members(given, model, 0)


def _repair_members(given: Mapping[str, Any], model: type[BaseModel], depth: int) -> dict[str, Any]:
    """Unknown members are kept: validation says what is wrong with them."""
    fields = model.model_fields
    read = {
        name: _repair_field(value, fields[name], depth) if name in fields else value for name, value in given.items()
    }
    return {name: value for name, value in read.items() if value is not _ABSENT}


def _repair_field(value: Any, field: FieldInfo, depth: int) -> Any:
    """An empty text is absent, too, where the default is another text."""
    left_out = value == "" and isinstance(field.default, str) and field.default
    return _ABSENT if left_out else _repair_value(value, field.annotation, depth)


def _repair_value(value: Any, annotation: Any, depth: int) -> Any:
    kinds = _list_alternatives(annotation)
    if value is None:
        return None if NoneType in kinds or Any in kinds else _ABSENT
    if value == "" and not _is_text(annotation):
        return _ABSENT
    if isinstance(value, str):
        value = _parse_if_wanted(value, kinds)
    if depth >= MAX_DEPTH:
        return value
    for kind in kinds:
        if isinstance(value, list) and get_origin(kind) is list:
            (inner,) = get_args(kind)
            return [_repair_item(item, inner, depth + 1) for item in cast(list[Any], value)]
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, BaseModel):
            return _repair_members(cast(dict[str, Any], value), kind, depth + 1)
    return cast(Any, value)


def _repair_item(value: Any, annotation: Any, depth: int) -> Any:
    """An item of a list is there, whatever it is."""
    read = _repair_value(value, annotation, depth)
    return value if read is _ABSENT else read


def _parse_if_wanted(text: str, kinds: list[Any]) -> Any:
    """The list or object that a JSON text is, if one is wanted and a text is not."""
    if str in kinds or Any in kinds or text.lstrip()[:1] not in ("[", "{"):
        return text
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    wanted = list if isinstance(found, list) else dict
    return cast(Any, found) if any(_accepts(kind, wanted) for kind in kinds) else text


def _accepts(kind: Any, wanted: type[Any]) -> bool:
    if wanted is list:
        return get_origin(kind) is list
    return get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, BaseModel))


def _is_text(annotation: Any) -> bool:
    """Whether an empty text is a value: it is where any text is, and in an enum that has it."""
    return any(kind in (str, Any) or "" in get_args(kind) for kind in _list_alternatives(annotation))


def _list_alternatives(annotation: Any) -> list[Any]:
    """The alternatives of an annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _list_alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for option in get_args(annotation) for kind in _list_alternatives(option)]
    return [annotation]
