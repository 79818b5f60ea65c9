"""A run with all that TofuPilot tells of it, in the lab's words."""

from __future__ import annotations

from testlab_tools.adapters.tofupilot.cases import cases
from testlab_tools.adapters.tofupilot.models import Person, WholeRun
from testlab_tools.adapters.tofupilot.v1_models import V1Run
from testlab_tools.models.lab import Case, Run
from testlab_tools.models.results import Artifact, KnownRun, RunDetail, labels

_FAILED = "get_failed_cases explains what failed."


def v2_detail(run: Run, row: WholeRun) -> RunDetail:
    """A run of API v2; `tags` holds its metadata and the unit's revision and sub-units."""
    every = cases(row.phases or [])
    part = row.unit.part
    parts = {"unit_revision": part.revision.number} if part and part.revision else {}
    if row.sub_units:
        parts["sub_units"] = ", ".join(unit.serial_number for unit in row.sub_units)
    known = KnownRun(
        **run.model_dump(),
        user=_name(row.operated_by) or _name(row.created_by_user),
        revision=row.procedure.version.tag if row.procedure.version else "",
        batch=row.unit.batch.number if row.unit.batch else "",
        notes=row.docstring or "",
        cases_run=len(every),
    )
    return RunDetail(
        run=known,
        cases=every,
        tags=labels(parts, row.metadata or {}),
        artifacts=[Artifact(name=file.name, size=file.size) for file in row.attachments or []],
        next=_next(every),
    )


def v1_detail(run: Run, row: V1Run) -> RunDetail:
    """A run of API v1, which has neither tags nor files."""
    every = cases(row.phases)
    known = KnownRun(**run.model_dump(), user=_name(row.created_by), cases_run=len(every))
    return RunDetail(run=known, cases=every, next=_next(every))


def _name(person: Person | None) -> str:
    return (person.name or person.email or "") if person else ""


def _next(every: list[Case]) -> str:
    return _FAILED if any(case.outcome in ("fail", "error") for case in every) else ""
