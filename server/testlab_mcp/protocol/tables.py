"""The text half of an answer: its lists as tables, which cost a model a quarter to a half fewer tokens than JSON.

An answer without a list of objects is compact JSON. Any other has a line for each fact, `name: cell`, and for each list

    runs[20], each {"outcome":"fail"}, job_uid = run_id up to its last "/":
    run_id	test	started_at (2026-11-…Z)	by_station (name=count, …)
    portal:/box-1/0a/1/x	tests/a.py::b	20T23:59:53	box-1=4, box 2=1	reason=It hung.

that is: how many rows; what is the same in every row, as JSON; what can be read off another column; then tab-separated
cells under a header. A cell is JSON, or a text as it stands where it cannot be taken for JSON. What is left out of the
structure is an empty cell. In a header, `…Z` stands for the cell. After the last column comes `name=cell`, of what few
rows have. A name with a dot is a member of an object. A text that would make a row look like `name: cell` or like the
first line of a table is JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeGuard, cast

_ABSENT: Final = object()
_FEW = 4
"""What less than one row in so many has is named in the row, and has no column."""
_LEAST = 3
"""So many rows it takes for a rule to be shorter than what it stands for."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LITERAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|NaN|-?Infinity")
_ONE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z"
_TIMES = re.compile(rf"{_ONE_TIME}(?:\n{_ONE_TIME})*")
"""Lines that are times."""
_PLAIN = re.compile(r"(?:(?!(?:true|false|null|NaN|Infinity)\n)[A-Za-z](?:[ -~]*[!-~])?\n)*")
"""Lines that are cells as they stand: as almost all are, and told at once for all of a column."""
_TIME_PARTS = (11, 8, 5)
"""Where a time can be cut: after its day, its month or its year."""

_COUNTED = re.compile(r"[\w.:/-]*[\w./-](?: [\w.:/-]*[\w./-])*")
_COUNTS = "(name=count, …)"
_HEADING = re.compile(r"[\w.]+(?:\[\d+\].*)?:(?:\s|$)")
"""How lines begin that are no rows."""

_Columns = dict[str, list[Any]]


def to_json(data: object) -> str:
    """Compact JSON."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def to_tables(data: dict[str, Any]) -> str:
    """An answer with its lists as tables; empty where it has none. What others wrote is each in a cell of its own."""
    if not _has_table(data):
        return ""
    return "\n".join(_write_facts(data, frozenset(data.get("untrusted", ())), ""))


def _has_table(value: object) -> bool:
    if not _is_object(value):
        return _is_table(value)
    parts: list[object] = [part for part in value.values() if isinstance(part, dict | list)]
    return any(map(_has_table, parts))


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_table(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and len(cast(list[Any], value)) > 1 and _have_own_names(cast(list[Any], value))


@lru_cache(maxsize=512)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _have_own_names(values: list[Any]) -> TypeGuard[list[dict[str, Any]]]:
    """Whether all are objects, and with names as fields have them: those of stations or configurations may be any."""
    if not _are_all(dict, values) or not all(values):
        return False
    return all(map(_is_name, set[str]().union(*values)))


def _are_all(kind: type, values: list[Any]) -> bool:
    return set(map(type, values)) <= {kind}


def _write_facts(data: Mapping[str, Any], free: frozenset[str], before: str) -> Iterator[str]:
    for name, value in data.items():
        if _is_table(value):
            yield from _write_table(before + name, value, free)
        elif name not in free and _is_object(value) and _has_table(value) and _have_own_names([value]):
            yield from _write_facts(value, free, f"{before}{name}.")
        else:
            yield f"{before}{name}: {_encode(value)}"


def _write_table(name: str, rows: list[dict[str, Any]], free: frozenset[str]) -> Iterator[str]:
    columns = _read_columns(rows, free)
    head = f"{name}[{len(rows)}]"
    if len(rows) >= _LEAST:
        same = {column: values[0] for column, values in columns.items() if _all_same(values)}
        columns = {column: values for column, values in columns.items() if column not in same}
        rules = _find_rules(columns)
        columns = {column: values for column, values in columns.items() if column not in rules}
        head += f", each {to_json(same)}" if same else ""
        head += "".join(f", {column} = {rule}" for column, rule in rules.items())
    yield f"{head}:"
    filled = {column: len(rows) - values.count(_ABSENT) for column, values in columns.items()}
    few = [column for column in columns if filled[column] * _FEW < len(rows)]
    shown = sorted((column for column in columns if column not in few), key=lambda column: -filled[column])
    written = [_write_column(column, columns[column]) for column in shown]
    yield "\t".join(title for title, _ in written)
    named = _write_named(few, columns, len(rows))
    for at, cells in enumerate(zip(*(cells for _, cells in written), strict=True) if written else [()] * len(rows)):
        line = "\t".join((*cells, *named[at])) if named[at] else "\t".join(cells).rstrip("\t")
        if _HEADING.match(line):
            first, tab, others = line.partition("\t")
            line = f"{to_json(first)}{tab}{others}"
        yield line


def _read_columns(rows: list[dict[str, Any]], free: frozenset[str]) -> _Columns:
    """The rows by column, in the order of the fields. An object with names of ours is a column for each of them."""
    columns: _Columns = {}
    for name in _merge_names(rows):
        values = [row.get(name, _ABSENT) for row in rows]
        given = [value for value in values if value is not _ABSENT]
        if name not in free and len(given) * _FEW >= len(rows) and _have_own_names(given):
            for inner in _merge_names(given):
                columns[f"{name}.{inner}"] = [_ABSENT if v is _ABSENT else v.get(inner, _ABSENT) for v in values]
        else:
            columns[name] = values
    return columns


def _merge_names(rows: list[dict[str, Any]]) -> list[str]:
    """The names in the order that all rows have them in."""
    names, known = list[str](), set[str]()
    for row in rows:
        if not known.issuperset(row):
            known.update(row)
            at = 0
            for name in row:
                at = names.index(name) + 1 if name in names else at
                if name not in names:
                    names.insert(at, name)
                    at += 1
    return names


def _all_same(values: list[Any]) -> bool:
    first = values[0]
    return first is not _ABSENT and values.count(first) == len(values) and len(set(map(type, values))) == 1


def _between(handle: str) -> Any:
    parts = handle.split("/", 2)
    return parts[1] if len(parts) == 3 else _ABSENT


_RULES: dict[str, Callable[[str], Any]] = {
    'up to its last "/"': lambda handle: handle.rpartition("/")[0] or _ABSENT,
    'between its first two "/"': _between,
    'up to its ":"': lambda handle: handle.partition(":")[0],
}
"""What handles say besides."""


def _find_rules(columns: _Columns) -> dict[str, str]:
    """Columns whose every cell can be read off another column, and how."""
    handles = next((name for name in columns if name.endswith("_id")), "")
    found: dict[str, str] = {}
    if handles and all(isinstance(handle, str) for handle in columns[handles]):
        for rule, read in _RULES.items():
            first = read(columns[handles][0])
            likely = [name for name, values in columns.items() if values[0] == first and name != handles]
            expected = [read(handle) for handle in columns[handles]] if likely else []
            found |= dict.fromkeys((name for name in likely if columns[name] == expected), f"{handles} {rule}")
    before: list[str] = []
    for name, values in columns.items():
        if same := next((other for other in before if _are_same(columns[other], values)), ""):
            found.setdefault(name, same)
        elif name not in found:
            before.append(name)
    return found


def _are_same(one: list[Any], other: list[Any]) -> bool:
    return one == other and _ABSENT not in one and list(map(type, one)) == list(map(type, other))


def _write_column(name: str, values: list[Any]) -> tuple[str, list[str]]:
    """Its title and its cells: times without the part that all of them have, objects of counts without the quotes."""
    given = [value for value in values if value is not _ABSENT]
    if _are_all(str, given):
        cut = _find_shared_time(given)
        if cut:
            return f"{name} ({given[0][:cut]}…Z)", ["" if value is _ABSENT else value[cut:-1] for value in values]
        lines = "\n".join((*given, ""))
        if lines.count("\n") == len(given) and _PLAIN.fullmatch(lines):
            return name, values if len(given) == len(values) else ["" if v is _ABSENT else v for v in values]
    elif all(map(_has_counts, given)):
        return f"{name} {_COUNTS}", ["" if value is _ABSENT else _write_counts(value) for value in values]
    return name, [_encode(value) for value in values]


def _find_shared_time(texts: list[str]) -> int:
    """How many characters all texts begin with, if they are times: up to their day, month or year; else 0."""
    if len(texts) < _LEAST or texts[0][-1:] != "Z":
        return 0
    lines = "\n".join(texts)
    if lines.count("\n") != len(texts) - 1 or not _TIMES.fullmatch(lines):
        return 0
    first, last = min(texts), max(texts)
    return next((end for end in _TIME_PARTS if first[:end] == last[:end]), 0)


def _has_counts(value: object) -> bool:
    """Whether it counts something by names that can be told from what is between them."""
    if not _is_object(value) or not value:
        return False
    return all(type(count) is int for count in value.values()) and all(map(_COUNTED.fullmatch, value))


def _write_counts(value: dict[str, int]) -> str:
    return ", ".join(f"{name}={count}" for name, count in value.items())


def _write_named(few: list[str], columns: _Columns, rows: int) -> list[list[str]]:
    """For each row `name=cell` of what few rows have."""
    named: list[list[str]] = [[] for _ in range(rows)]
    for name in few:
        for at, value in enumerate(columns[name]):
            if value is not _ABSENT:
                named[at].append(f"{name}={_encode(value)}")
    return named


def _encode(value: Any) -> str:
    """A cell."""
    if isinstance(value, str):
        plain = value.isprintable() and value[:1] not in ("", " ", '"', "[", "{") and value[-1] != " "
        return value if plain and not _LITERAL.fullmatch(value) else to_json(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return "" if value is _ABSENT else to_json(value)
