"""Reads the text half of an answer back into its facts, as `testlab_mcp.protocol.tables` describes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

LITERAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
HEAD = re.compile(r"(?P<name>[a-z0-9_.]+)\[(?P<rows>\d+)\](?P<said>.*):")
FACT = re.compile(r"[\w.]+:(\s|$)")
TITLE = re.compile(r"(?P<name>\S+)(?: \((?P<cut>\S+)…Z\)| (?P<counts>\(name=count, …\)))?")
ABSENT = object()


def read_answer(text: str) -> dict[str, Any]:
    """The facts of an answer's text, which must be its structure's.

    Raises:
        ValueError: a part that has to be JSON is none.
    """
    if text.startswith("{"):
        return read_json(text)
    facts: dict[str, Any] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        head = HEAD.fullmatch(line)
        if head:
            put(facts, head["name"], list(read_table(int(head["rows"]), head["said"], lines)))
        else:
            name, _, cell = line.partition(": ")
            put(facts, name, read_cell(cell))
    return facts


def read_json(text: str) -> Any:
    """JSON as its standard has it: without NaN."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def put(facts: dict[str, Any], name: str, value: Any) -> None:
    """Add a fact; a name with dots is a member of an object."""
    *above, last = name.split(".")
    for part in above:
        facts = facts.setdefault(part, {})
    assert last not in facts, f"{name} is there twice"
    facts[last] = value


def read_cell(cell: str) -> Any:
    """A cell's value, ABSENT of an empty one."""
    if not cell:
        return ABSENT
    return read_json(cell) if cell[0] in '"[{' or LITERAL.fullmatch(cell) else cell


def read_table(count: int, said: str, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The rows below a table's first line, of which `said` is what follows the number of rows."""
    same: dict[str, Any] = {}
    if said.startswith(", each "):
        same, end = json.JSONDecoder().raw_decode(said, len(", each "))
        said = said[end:]
    rules = dict(rule.split(" = ", 1) for rule in said.split(", ")[1:])
    header = next(lines)
    columns = [read_title(title) for title in header.split("\t")] if header else []
    for _ in range(count):
        line = next(lines)
        assert (HEAD.fullmatch(line) or FACT.match(line)) is None, f"a row looks like a line of ours: {line}"
        cells = line.split("\t")
        facts: dict[str, Any] = {}
        for (name, read), cell in zip(columns, cells, strict=False):
            facts[name] = read(cell) if cell else ABSENT
        for extra in filter(None, cells[len(columns) :]):
            name, _, cell = extra.partition("=")
            facts[name] = read_cell(cell)
        for name, rule in rules.items():
            facts[name] = derive(rule, facts)
        row: dict[str, Any] = {}
        for name, value in {**same, **facts}.items():
            if value is not ABSENT:
                put(row, name, value)
        yield row


def read_title(title: str) -> tuple[str, Callable[[str], Any]]:
    """A column's name, and what reads its cells."""
    found = TITLE.fullmatch(title)
    assert found, title
    if found["cut"]:
        return found["name"], lambda cell: f"{found['cut']}{cell}Z"
    return found["name"], read_counts if found["counts"] else read_cell


def read_counts(cell: str) -> dict[str, int]:
    """`name=count, …` as an object."""
    return {name: int(count) for name, _, count in (part.rpartition("=") for part in cell.split(", "))}


def derive(rule: str, facts: dict[str, Any]) -> Any:
    """What a rule reads off another column."""
    name, _, how = rule.partition(" ")
    of = facts[name]
    if how == 'up to its last "/"':
        return of.rpartition("/")[0] or ABSENT
    if how == 'between its first two "/"':
        return of.split("/")[1] if of.count("/") > 1 else ABSENT
    if how == 'up to its ":"':
        return of.partition(":")[0]
    assert not how, rule
    return of
