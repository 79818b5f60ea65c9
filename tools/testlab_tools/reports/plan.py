"""What a report would become, for somebody to look at before it is recorded."""

from __future__ import annotations

from typing import Any, cast

from testlab_tools.models import Case, Measurement, Noun, Outcome
from testlab_tools.questions import NewMeasurement, NewPhase
from testlab_tools.reports.report import Report
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted

MOST_CASES = 100
MOST_NAMES = 50
MOST_POINTS = 20


class PlannedRun(Noun):
    """A run as it would be recorded. `cases` show only measurements that fail, of `measurements` in all.

    Of a report that the service itself reads: its `importer`, and how many `bytes` it would get.
    """

    service: str
    unit: Untrusted = ""
    procedure: Untrusted = ""
    outcome: Outcome | None = None
    started_at: Moment | None = None
    duration_s: float = 0
    part: Untrusted = ""
    revision: Untrusted = ""
    batch: Untrusted = ""
    procedure_version: Untrusted = ""
    notes: Untrusted = ""
    cases: list[Case] = []
    cases_run: int = 0
    measurements: int = 0
    sub_units: list[Untrusted] = []
    attachments: list[Untrusted] = []
    variables: dict[Untrusted, Untrusted] = {}
    importer: str = ""
    bytes: int = 0


def planned(service: str, report: Report) -> PlannedRun:
    """The run of a report. Long lists are cut, those that failed going first; the counts are of all."""
    run = report.run
    cases = _cases(run.phases)
    if len(cases) > MOST_CASES:
        cases.sort(key=lambda case: case.outcome not in ("fail", "error"))
    return PlannedRun(
        service=service,
        unit=run.serial_number,
        procedure=run.procedure_id,
        outcome=run.outcome,
        started_at=run.started_at,
        duration_s=round((run.ended_at - run.started_at).total_seconds(), 3),
        part=run.part_number,
        revision=run.revision,
        batch=run.batch_number,
        procedure_version=run.procedure_version,
        notes=run.notes,
        cases=cases[:MOST_CASES],
        cases_run=len(cases),
        measurements=sum(len(phase.measurements) for phase in run.phases),
        sub_units=list(run.sub_units[:MOST_NAMES]),
        attachments=[attachment.name for attachment in report.attachments[:MOST_NAMES]],
        variables=dict(run.variables[:MOST_NAMES]),
    )


def _cases(phases: tuple[NewPhase, ...]) -> list[Case]:
    """One case per name, with its last attempt's outcome."""
    attempts: dict[str, list[NewPhase]] = {}
    for phase in phases:
        attempts.setdefault(phase.name, []).append(phase)
    return [
        Case(
            case=name,
            outcome=tries[-1].outcome,
            attempts=len(tries),
            measurements=[_measurement(m) for m in tries[-1].measurements if m.outcome == "fail"],
        )
        for name, tries in attempts.items()
    ]


def _measurement(m: NewMeasurement) -> Measurement:
    value: Any = m.value
    value = cast("list[Any]", value)[:MOST_POINTS] if isinstance(value, list) else value
    return Measurement(
        name=m.name,
        outcome=m.outcome,
        value=value,
        units=m.units,
        lower=m.lower,
        upper=m.upper,
        expected=m.expected,
    )
