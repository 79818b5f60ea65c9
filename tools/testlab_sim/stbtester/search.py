"""The portal's search box: `job:/node/0a23/972 result:fail -category:nightly date:>=2026-10-01 "no video"`.

Terms are separated by spaces and all must hold; `-` before a term turns it round. A term is `key:value` or words to be
found in the test case's name or the failure reason. A date names the whole span it is precise to, in `tz` unless it
says its own offset: `date:>2026-10-01` begins with the next day, `date:<=2026-10-01` includes all of that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, tzinfo

from testlab_sim.stbtester.jobs import Run
from testlab_sim.stbtester.service import Refusal

Predicate = Callable[[Run], bool]

_TERM = re.compile(r'\s*(-?)(?:([A-Za-z_]+):(?!:))?((?:"[^"]*"|[^\s"])*)(?=\s|$)')
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?")


def select(expression: str, timezone: tzinfo, runs: Iterable[Run]) -> Iterable[Run]:
    """Those of the runs that an expression selects; 400 if it cannot be read."""
    terms: list[Predicate] = []
    position = 0
    text = expression.strip()
    while position < len(text):
        found = _TERM.match(text, position)
        if found is None or found.end() == position:
            raise Refusal(400, f"Invalid filter: can't read it from {text[position : position + 40]!r}")
        position = found.end()
        terms.append(_term(found[1] == "-", found[2], found[3].replace('"', ""), timezone))
    for term in terms:
        runs = filter(term, runs)
    return runs


def _term(negated: bool, key: str | None, value: str, timezone: tzinfo) -> Predicate:
    holds = _words(value) if key is None else _keyed(key.lower(), value, timezone)
    return (lambda run: not holds(run)) if negated else holds


def _words(value: str) -> Predicate:
    wanted = value.lower()
    if not wanted:
        raise Refusal(400, "Invalid filter: empty term")

    def holds(run: Run) -> bool:
        failure = run.outcome.failure
        return wanted in run.test_case.lower() or (failure is not None and wanted in failure.message.lower())

    return holds


def _keyed(key: str, value: str, timezone: tzinfo) -> Predicate:
    holds = _KEYS.get(key)
    if key != "date" and holds is None:
        raise Refusal(400, f"Invalid filter: unknown key {key!r}; known are {', '.join(sorted([*_KEYS, 'date']))}")
    if not value:
        raise Refusal(400, f"Invalid filter: {key}: needs a value")
    return _date(value, timezone) if holds is None else lambda run: holds(run, value)


def _has_tag(run: Run, value: str) -> bool:
    name, equals, wanted = value.partition("=")
    return name in run.job.tags and (not equals or run.job.tags[name] == wanted)


_KEYS: dict[str, Callable[[Run, str], bool]] = {
    "job": lambda run, value: run.job.uid == value,
    "node": lambda run, value: run.job.node_id == value,
    "testcase": lambda run, value: value in run.test_case,
    "result": lambda run, value: run.outcome.result == value,
    "category": lambda run, value: run.job.category == value,
    "user": lambda run, value: run.job.username == value.removeprefix("@"),
    "tag": _has_tag,
}


def _date(value: str, timezone: tzinfo) -> Predicate:
    operator = next((o for o in (">=", "<=", ">", "<") if value.startswith(o)), "")
    first, after = _span(value[len(operator) :], timezone)
    comparisons: dict[str, Predicate] = {
        ">=": lambda run: _microseconds(run.start) >= first,
        "<=": lambda run: _microseconds(run.start) < after,
        ">": lambda run: _microseconds(run.start) >= after,
        "<": lambda run: _microseconds(run.start) < first,
        "": lambda run: first <= _microseconds(run.start) < after,
    }
    return comparisons[operator]


def _microseconds(moment: float) -> int:
    """To the precision in which times are written, so that a result's own time finds it."""
    return round(moment * 1e6)


def _span(value: str, timezone: tzinfo) -> tuple[int, int]:
    """The first microsecond a date covers and the first one after it."""
    found = _DATE.fullmatch(value)
    if found is None:
        raise Refusal(400, f"Invalid filter: {value!r} is not a date like 2026-10-01 or 2026-10-01T14:30:00+00:00")
    try:
        begin = datetime.fromisoformat(value.replace(" ", "T"))
    except ValueError:
        raise Refusal(400, f"Invalid filter: there is no date {value!r}") from None
    if begin.tzinfo is None:
        begin = begin.replace(tzinfo=timezone)
    _, minutes, seconds, fraction, _ = found.groups()
    if fraction:
        length = timedelta(seconds=10.0 ** -(len(fraction) - 1))
    elif seconds:
        length = timedelta(seconds=1)
    else:
        length = timedelta(minutes=1) if minutes else timedelta(days=1)
    return _microseconds(begin.timestamp()), _microseconds((begin + length).timestamp())
