"""How a run comes in, whichever version or report brought it: a draft is checked, linked and kept."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from testlab_sim.production.history import History
from testlab_sim.production.records import Detail, Phase, Procedure, Run, Station, Unit
from testlab_sim.tofupilot.service import Refusal, email, found, invalid
from testlab_sim.world import Person

_IDENTIFIER = re.compile(r"[a-zA-Z0-9_.:+-]{1,60}")
# The organisation's serial number patterns: they give the part number where a client sends none.
_SERIALS = ((re.compile(r"STB4K-\d{6}", re.I), "STB-4K"), (re.compile(r"PSU12-\d{6}", re.I), "PSU-12"))


class Unreadable(Exception):
    """The content of a report is not of the format told, or lacks what a run needs."""


@dataclass(slots=True)
class Draft:
    """A run as its sender tells it. Names, not records; times in seconds since the epoch."""

    procedure: Procedure
    serial: str
    outcome: str
    started: float
    ended: float
    part_number: str = ""
    part_name: str = ""
    revision: str = ""
    batch: str = ""
    version: str = ""
    operator: str = ""
    sub_units: list[str] = field(default_factory=list[str])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    detail: Detail = field(default_factory=Detail)


def record(history: History, draft: Draft, who: Person | Station, now: float) -> Run:
    """Keep the draft as a run, with its unit, part, revision, batch and version made where they are new."""
    _check(draft)
    children = [_find_sub_unit(history, serial, draft.serial) for serial in draft.sub_units]
    is_new = history.find_unit(draft.serial) is None
    unit = _find_or_make_unit(history, draft, now)
    for child in children:
        history.attach(unit, child)
    draft.detail.sub_units = children
    station = who if isinstance(who, Station) else None
    version = history.version_of(draft.procedure, draft.version, now) if draft.version else None
    operator = draft.operator or (email(who) if isinstance(who, Person) else "")
    run = Run(
        history.next_number(),
        draft.procedure,
        version,
        unit,
        station,
        operator,
        draft.started,
        draft.ended,
        now,
        draft.outcome,
        detail=draft.detail,
        metadata=dict(draft.metadata),
    )
    history.add_run(run)
    if is_new:
        unit.created_during = run
    return run


def _check(draft: Draft) -> None:
    """Serial, part, revision and batch numbers: 1 to 60 of `[a-zA-Z0-9_.:+-]` (TofuPilot docs, runs/create)."""
    optional = {"part_number": draft.part_number, "revision_number": draft.revision, "batch_number": draft.batch}
    for key, value in {"serial_number": draft.serial, **optional}.items():
        if (value or key == "serial_number") and not _IDENTIFIER.fullmatch(value):
            raise invalid(key, "must match ^[a-zA-Z0-9_.:+-]+$ and have 1 to 60 characters")
    if draft.ended < draft.started:
        raise invalid("ended_at", "must not precede started_at")


def _find_sub_unit(history: History, serial: str, parent: str) -> Unit:
    child = found(history.find_unit(serial), f"Sub-unit with serial number {serial}")
    if child.serial.upper() == parent.upper():
        raise Refusal(400, "A unit cannot be its own sub-unit")
    if child.parent is not None and child.parent.serial.upper() != parent.upper():
        raise Refusal(409, f"Sub-unit {child.serial} already belongs to unit {child.parent.serial}")
    return child


def _find_or_make_unit(history: History, draft: Draft, now: float) -> Unit:
    unit = history.find_unit(draft.serial)
    if unit is None:
        part_number = draft.part_number or part_number_in(draft.serial)
        if not part_number:
            message = "part_number: required, as it cannot be extracted from the serial number"
            raise Refusal(422, "Part number is required", [{"message": message, "path": ["part_number"]}])
        return _make_unit(history, draft, part_number, now)
    history.keep(unit)
    other_part = draft.part_number.upper() not in ("", unit.part.part_number.upper())
    if other_part:
        unit.part = history.part_of(draft.part_number, now, draft.part_name)
    if other_part or draft.revision:
        unit.revision = history.revision_of(unit.part, draft.revision, now)
    if draft.batch:
        unit.batch = history.batch_of(draft.batch, now)
    return unit


def _make_unit(history: History, draft: Draft, part_number: str, now: float) -> Unit:
    part = history.part_of(part_number, now, draft.part_name)
    number, revision = history.next_number(), history.revision_of(part, draft.revision, now)
    batch = history.batch_of(draft.batch, now) if draft.batch else None
    unit = history.units[draft.serial.upper()] = Unit(number, draft.serial, part, revision, batch, now)
    return unit


def count_attempts(phases: list[Phase]) -> list[Phase]:
    """The phases, where the same name again is the next attempt at it."""
    seen: Counter[str] = Counter()
    for phase in phases:
        phase.retry_count = seen[phase.name]
        seen[phase.name] += 1
    return phases


def part_number_in(serial: str) -> str:
    """The part number the organisation's patterns read out of a serial number, or an empty string."""
    return next((part for pattern, part in _SERIALS if pattern.fullmatch(serial)), "")
