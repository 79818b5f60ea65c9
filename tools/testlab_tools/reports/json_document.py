"""Reports written as JSON: parsed and checked against a shape, with errors that repeat none of their text."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from hashlib import sha256
from typing import Annotated, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from testlab_tools.errors import BadInput

MOST_MILLIS = 253_402_300_799_999
"""The end of the year 9999, in milliseconds since 1970: what a datetime can hold."""
Millis = Annotated[int, Field(ge=0, le=MOST_MILLIS)]
Seconds = Annotated[float, Field(ge=0, le=MOST_MILLIS // 1000, allow_inf_nan=False)]


class Shape(BaseModel):
    """Base of what is read of a report: fields that nobody asks for are let through."""

    model_config = ConfigDict(extra="ignore", defer_build=True)


S = TypeVar("S", bound=Shape)


class Framework(NamedTuple):
    """Who writes such a report, in the words of an error: `an OpenHTF` report, written by its `OutputToJSON`."""

    article: str
    version: str
    writer: str


def parsed(content: bytes, by: Framework) -> object:
    """The JSON value. Raises BadInput."""
    try:
        return json.loads(content, parse_constant=_constant, parse_float=_float)
    except (ValueError, RecursionError):
        raise BadInput(
            "The report is not JSON",
            f"It is {len(content)} bytes that cannot be read as JSON",
            f"Give the file that {by.writer} wrote, whole.",
        ) from None


def shaped(body: object, shape: type[S], fields: Collection[str], by: Framework) -> S:
    """The value as `shape`. Raises BadInput naming the first field that is wrong, as far as it is one of `fields`."""
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in fields)
        missing = first["type"] == "missing"
        raise BadInput(
            f"The JSON is not {by.article} report",
            f"Field {where or '(the whole)'} {'is missing' if missing else f'is not what {by.version} writes there'}",
            f"Give the file that {by.writer} wrote after the test had ended.",
        ) from None


def digest(body: object) -> str:
    """Of the value, however it is indented."""
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _constant(name: str) -> str:
    """A value of NaN or infinity is the text `nan`, `inf` or `-inf`, as OpenHTF writes it; so is a bare one read."""
    return name.lower().replace("infinity", "inf")


def _float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text
