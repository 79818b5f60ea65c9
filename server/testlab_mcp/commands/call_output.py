"""A tool's answer for people at a terminal: its facts line by line, its lists as tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from testlab_mcp.commands.console import fits, paint, table
from testlab_tools.untrusted import sanitize

_LEFT_OUT = frozenset({"untrusted"})
"""Says to a model which fields hold text from the lab."""
_LAST = ("note", "next", "cursor")


def render_answer(answer: Mapping[str, Any]) -> str:
    """The answer as text. Facts come first, then each list as a table, then its note and the next step."""
    facts = [(name, value) for name, value in answer.items() if name not in _LEFT_OUT and name not in _LAST]
    lines = [*_render_facts([(name, value) for name, value in facts if not _is_table(value)])]
    for name, value in facts:
        if _is_table(value):
            lines += ["", paint(name, "bold"), _render_table(value)]
    last = [(name, answer[name]) for name in _LAST if answer.get(name)]
    return "\n".join([*lines, *([""] if last and lines else []), *_render_facts(last)]).lstrip("\n")


def _render_facts(facts: list[tuple[str, Any]], indent: int = 0) -> Iterator[str]:
    """Facts one a line, with the names as wide as the widest; what has facts of its own is indented below its name."""
    width = max((len(name) for name, _ in facts), default=0)
    margin = " " * indent
    for name, value in facts:
        if isinstance(value, dict) and value:
            yield f"{margin}{name}"
            yield from _render_facts(list(cast("dict[str, Any]", value).items()), indent + 2)
        else:
            items = cast("list[Any]", value if isinstance(value, list) else [value])
            first, *more = "\n".join(map(_render_cell, items)).splitlines() or [""]
            yield f"{margin}{paint(name.ljust(width), 'dim')}  {first}"
            yield from (f"{margin}{' ' * width}  {line}" for line in more)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in cast("list[Any]", value))


def _render_table(rows: list[Mapping[str, Any]]) -> str:
    """A table where the terminal is wide enough for it; else one row below the other, so that no id is cut."""
    heads = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_render_cell(row.get(name, "")) for name in heads] for row in rows]
    if fits(heads, cells):
        return table(heads, cells)
    return "\n\n".join("\n".join(_render_facts(list(row.items()), 2)) for row in rows)


def _render_cell(value: object) -> str:
    """A value in one cell; an object as `name value` pairs."""
    if isinstance(value, str):
        return sanitize(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_render_cell(item)}" for name, item in cast("dict[str, Any]", value).items())
    if isinstance(value, list):
        return "; ".join(_render_cell(item) for item in cast("list[Any]", value))
    return json.dumps(value)
