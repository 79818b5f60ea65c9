"""`POST /v2/runs` bodies to drafts. Imported when the first one comes, as `bodies` is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testlab_sim.production.history import History
from testlab_sim.production.ids import is_uuid
from testlab_sim.production.records import Detail, LogLine, Measurement, Phase, Procedure, Series, Validator
from testlab_sim.tofupilot.bodies import (
    AxisBody,
    MeasurementBody,
    PhaseBody,
    RunBody,
    SequenceBody,
    ValidatorBody,
    parse,
)
from testlab_sim.tofupilot.intake import Draft, judge, limits_to_validators
from testlab_sim.tofupilot.query import duration
from testlab_sim.tofupilot.service import Refusal, invalid
from testlab_sim.tofupilot.shapes import stamp


def draft_of(history: History, body: dict[str, Any], allow: Callable[[Procedure], None]) -> Draft:
    """The draft of a run; `allow` may refuse its procedure to the caller."""
    run = parse(RunBody, body)
    if not is_uuid(run.procedure_id):
        raise invalid("procedure_id", "Invalid uuid")
    procedure = history.procedures.get(run.procedure_id.lower())
    if procedure is None:
        raise Refusal(404, f"Procedure with ID {run.procedure_id} not found")
    allow(procedure)
    return Draft(
        procedure,
        run.serial_number,
        run.outcome,
        run.started_at.timestamp(),
        run.ended_at.timestamp(),
        run.part_number or "",
        "",
        run.revision_number or "",
        run.batch_number or "",
        run.procedure_version or "",
        run.operated_by or "",
        run.sub_units,
        dict(run.metadata),
        dict(run.unit_metadata),
        _detail(run),
    )


def _detail(run: RunBody) -> Detail:
    return Detail(
        phases=_count_attempts([_phase(phase) for phase in run.phases or ()]),
        logs=[
            LogLine(line.level, line.timestamp.timestamp(), line.message, line.source_file, line.line_number)
            for line in run.logs or ()
        ],
        docstring=run.docstring,
        sequences=[_sequence(item, nth) for nth, item in enumerate(run.sequences or ())],
        config=[item.model_dump() for item in run.config],
        secrets=[item.model_dump() for item in run.secrets],
        execution_id=run.execution_id,
        slot_key=run.slot_key,
        slot_name=run.slot_name,
    )


def _count_attempts(phases: list[Phase]) -> list[Phase]:
    """Where the sender counted nothing, attempts at the same step are counted in order."""
    if any(phase.retry_count for phase in phases):
        return phases
    return count_retries(phases)


def count_retries(phases: list[Phase]) -> list[Phase]:
    """Number the attempts at each step: 0, 1, 2…"""
    seen: dict[tuple[str | None, str], int] = {}
    for phase in phases:
        key = (phase.sequence_path, phase.name)
        phase.retry_count = seen.get(key, 0)
        seen[key] = phase.retry_count + 1
    return phases


def _phase(body: PhaseBody) -> Phase:
    return Phase(
        body.name,
        body.outcome,
        body.started_at.timestamp(),
        body.ended_at.timestamp(),
        body.retry_count,
        [_measurement(m) for m in body.measurements or ()],
        body.docstring,
        body.sequence_path,
    )


def _measurement(body: MeasurementBody) -> Measurement:
    item = Measurement(body.name, body.outcome, body.measured_value, docstring=body.docstring)
    item.units = body.units if isinstance(body.units, str) or body.units is None else ", ".join(body.units)
    axes = [axis for axis in (body.x_axis, *(body.y_axis or ())) if axis is not None]
    item.series = [_series(axis) for axis in axes] or None
    item.validators = [_validator(v, item) for v in body.validators or ()]
    limits_to_validators(item, body.lower_limit, body.upper_limit)
    item.aggregations = [a.model_dump() for a in body.aggregations or ()] or None
    return item


def _series(body: AxisBody) -> Series:
    return Series(body.data, body.units, body.name, body.description)


def _validator(body: ValidatorBody, item: Measurement) -> Validator:
    expected = body.expected_value
    expression = body.expression or f"x {body.operator or '?'} {expected}"
    number = isinstance(expected, int | float) and not isinstance(expected, bool)
    # The service keeps the outcome it is sent; one left out is taken from the numbers where there are any.
    outcome = body.outcome or (judge(body.operator or "==", expected, item) if number else "UNSET")
    structured = not isinstance(expected, dict) and body.operator is not None
    decisive = body.is_decisive is not False
    return Validator(
        body.operator if structured else None, expected if structured else None, expression, outcome, decisive
    )


def _sequence(body: SequenceBody, nth: int) -> dict[str, Any]:
    parent, _, key = body.path.rpartition("/")
    both = body.started_at is not None and body.ended_at is not None
    return {
        "id": f"seq-{nth}",
        "path": body.path,
        "key": key,
        "parent_path": parent or None,
        "name": body.name,
        "source": body.source,
        "outcome": body.outcome,
        "started_at": stamp(body.started_at.timestamp()) if body.started_at else None,
        "ended_at": stamp(body.ended_at.timestamp()) if body.ended_at else None,
        "duration": duration((body.ended_at - body.started_at).total_seconds())
        if both and body.ended_at and body.started_at
        else None,
    }
