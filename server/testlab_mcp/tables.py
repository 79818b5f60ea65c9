"""Reading a table of the config: an unknown key is an error that names the nearest known one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from testlab_tools.errors import ConfigError

_Settings = TypeVar("_Settings", bound=BaseModel)


def read_table(shape: type[_Settings], table: Any, place: str) -> _Settings:
    """A table as its settings. Raises ConfigError: one line with `place`, the key and the remedy."""
    table = as_mapping(table, place)
    refuse_unknown(table, shape.model_fields, place)
    try:
        return shape.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{place}: {_complaint(shape, key, first['type'], first['msg'])}") from None


def _complaint(shape: type[BaseModel], key: str, problem: str, message: str) -> str:
    if problem == "missing":
        return f"{key} is missing"
    if problem == "literal_error":
        choices = get_args(shape.model_fields[key.split(".")[0]].annotation)
        named = ", ".join(str(choice) for choice in choices if isinstance(choice, str))
        return f"{key} must be one of: {named}" if named else f"{key}: {message}"
    words = message.removeprefix("Value error, ").replace("Input should be ", "must be ", 1)
    return f"{key} {words}" if key else words


def refuse_unknown(table: Mapping[str, Any], keys: Iterable[str], place: str) -> None:
    """Raises ConfigError for a key that is none of `keys`."""
    keys = list(keys)
    for key in table:
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(keys)}."
            raise ConfigError(f"{place}: unknown key {key!r}", "", hint)


def as_mapping(value: Any, place: str) -> dict[str, Any]:
    """A value that must be a table. Raises ConfigError."""
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a table")
    return cast(dict[str, Any], value)


def home_of(path: str) -> Path:
    """A path of the config, `~` replaced. Raises ConfigError for what this system cannot have."""
    try:
        if "\0" in path:
            raise ValueError("a path has no NUL")
        return Path(path).expanduser()
    except (RuntimeError, ValueError):
        raise ConfigError(f"{ascii(path)[:100]} is no path that this system can have", "", "Mend it.") from None


def on_one_line(name: str) -> str:
    """A table's name as an error may say it: quoted when it is more than a word."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else ascii(name)
