"""A tool's arguments as they are typed in a shell: `--node-id portal:x`, `--node-ids a --node-ids b`, `--shuffle`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testlab_mcp.protocol.schema import read_arguments
from testlab_tools.errors import BadInput, did_you_mean
from testlab_tools.registry import ToolSpec
from testlab_tools.tools import all_tools


def find_tool_named(name: str) -> ToolSpec:
    """A tool by its name, `-` as good as `_`. Raises BadInput with the nearest name."""
    tools = {tool.name: tool for tool in all_tools()}
    if found := tools.get(name.replace("-", "_")):
        return found
    raise BadInput(f"There is no tool {name!r}", "", did_you_mean(name, tools, "`testlab-mcp tools` lists them."))


def parse_arguments(tool: ToolSpec, words: Sequence[str]) -> dict[str, Any]:
    """The arguments that are typed, as a client would send them, checked by the tool's own schema.

    A list is given item by item, or as JSON. A list or an object can be read from a file of JSON: `--phases @run.json`.

    Raises:
        BadInput: an argument is unknown, given twice, without a value, or not what the tool takes.
    """
    arguments = read_arguments(tool)
    known: Mapping[str, Any] = arguments.schema["properties"]
    given: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise BadInput(
                f"{word!r} is no argument", "", "They are written --argument value, once for each of a list."
            )
        flag, equals, value = word[2:].partition("=")
        name = flag.replace("-", "_")
        kind = known.get(name, {}).get("type", "string")
        if kind == "boolean" and not equals:
            value = rest.pop(0) if rest and rest[0] in ("true", "false") else "true"
        elif name not in known:
            rest[:1] = rest[1:] if rest and not rest[0].startswith("--") and not equals else rest[:1]
        elif not equals:
            value = _take_value(word, rest)
        _put(given, name, _read_file(value) if kind in ("array", "object") else value, kind)
    arguments.validate(arguments.repair(given))
    return given


def describe_arguments(tool: ToolSpec) -> list[tuple[str, str, str]]:
    """Each argument with its type, and what the schema says of it."""
    schema = read_arguments(tool).schema
    required = schema.get("required", ())
    rows: list[tuple[str, str, str]] = []
    for name, field in schema["properties"].items():
        kind = "|".join(map(str, field["enum"])) if "enum" in field else field.get("type", "string")
        kind = {"array": "repeated, or JSON", "object": "JSON"}.get(kind, kind)
        said = [
            "required" if name in required else "",
            field.get("description", ""),
            _describe_keys(field.get("items", field)),
            f"default {field['default']}" if "default" in field else "",
        ]
        rows.append((f"--{name.replace('_', '-')}", kind, "; ".join(part for part in said if part)))
    return rows


def _describe_keys(field: Mapping[str, Any]) -> str:
    """The keys of an object, those that may be left out in brackets: `keys name, outcome pass|fail, [units]`."""
    required, keys = field.get("required", ()), list[str]()
    for name, value in field.get("properties", {}).items():
        inner = _describe_keys(value.get("items", value))
        said = f"{name} {'|'.join(map(str, value['enum']))}" if "enum" in value else name
        said += f" ({inner})" if inner else ""
        keys.append(said if name in required else f"[{said}]")
    return f"keys {', '.join(keys)}" if keys else ""


def _take_value(word: str, rest: list[str]) -> str:
    if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
        raise BadInput(f"{word} has no value", "", f"A value that begins with -- is written {word}=VALUE.")
    return rest.pop(0)


def _put(given: dict[str, Any], name: str, value: str, kind: str) -> None:
    if kind == "array" and not value.lstrip().startswith("["):
        given.setdefault(name, [])
        if isinstance(given[name], list):
            given[name].append(value)
            return
    if name in given:
        raise BadInput(f"--{name.replace('_', '-')} is given twice")
    given[name] = value


def _read_file(value: str) -> str:
    """What stands in the file that `@FILE` names, or the value."""
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput(f"{value[1:]} cannot be read ({reason})") from None
