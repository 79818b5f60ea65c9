"""What names a run of API v1 within its unit, whether or not the server's list tells ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2s
from typing import NamedTuple

from testlab_tools.adapters.tofupilot.client import same_moment
from testlab_tools.adapters.tofupilot.v1_models import V1Procedure, V1Run
from testlab_tools.models.requests import NewRun


class Key(NamedTuple):
    """`005f1ec0-…`, the id. Where the list tells none, as the document's does not, the start and a mark of what else
    tells the run from another of that start, then the id, if creating it told one:
    `2024-09-05T08:38:17+00:00~9f0e51ac@005f1ec0-…`. The start alone names the only run of that start.
    """

    id: str = ""
    start: str = ""
    mark: str = ""

    @classmethod
    def parse(cls, text: str) -> Key:
        """Whatever is no start is an id."""
        found = _START.fullmatch(text)
        return cls(found[3] or "", found[1], found[2] or "") if found else cls(text)

    @classmethod
    def of(cls, row: V1Run, told: str = "") -> Key:
        """Of a run in its unit's list; `told` is its id, where only creating it told one."""
        return cls(row.id) if row.id else cls(told, row.started_at.isoformat(), _mark(row))

    @classmethod
    def sent(cls, run: NewRun, told: str = "") -> Key:
        """Of a run that was recorded and not looked up."""
        start = run.started_at.astimezone(UTC)
        return cls(told, start.replace(microsecond=start.microsecond // 1000 * 1000).isoformat())

    def __str__(self) -> str:
        if not self.start:
            return self.id
        return f"{self.start}{f'~{self.mark}' if self.mark else ''}{f'@{self.id}' if self.id else ''}"

    def among(self, rows: Iterable[V1Run]) -> list[V1Run]:
        """The runs of the list that it names: several, when nothing tells them apart."""
        listed = list(rows)
        if self.id and (found := [row for row in listed if row.id == self.id]):
            return found
        return [
            row
            for row in listed
            if row.started_at.isoformat() == self.start and self.mark in ("", _mark(row)) and not (self.id and row.id)
        ]


def is_of(row: V1Run, run: NewRun) -> bool:
    """Whether it may be that run: the start, and as far as they are told procedure, outcome and phases, are its own."""
    if not same_moment(row.started_at, run.started_at):
        return False
    if row.passed is not None and row.passed != (run.outcome == "pass"):
        return False
    if row.phases and {phase.name for phase in row.phases} != {phase.name for phase in run.phases}:
        return False
    if row.procedure is None:
        return True
    told = row.procedure
    names = {told.id, told.name, told.identifier} if isinstance(told, V1Procedure) else {told}
    asked = {run.procedure_id.casefold(), run.procedure_name.casefold()}
    return any(name and name.casefold() in asked for name in names)


def newest(rows: Iterable[V1Run]) -> V1Run | None:
    """The one that was recorded last, as far as the list tells."""
    return max(rows, key=lambda row: row.created_at or _EVER_BEFORE, default=None)


def _mark(row: V1Run) -> str:
    """Of all that is told of a run and does not change."""
    phases = [(phase.name, phase.outcome, str(phase.started_at)) for phase in row.phases]
    told = (str(row.created_at), row.status and row.status.name, row.outcome, row.run_passed, row.duration, phases)
    return blake2s(repr(told).encode(), digest_size=4).hexdigest()


_START = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d)(?:~([0-9a-f]{8}))?(?:@(.+))?")
_EVER_BEFORE = datetime.min.replace(tzinfo=UTC)
