"""v1's JSON, both ways: its run bodies to drafts, and runs as its document and as tofupilot 1.12.1 show them."""

from __future__ import annotations

from typing import Any, cast

from testlab_sim.production.history import History
from testlab_sim.production.records import Detail, Measurement, Phase, Procedure, Run
from testlab_sim.tofupilot.intake import Draft, limits_to_validators
from testlab_sim.tofupilot.query import duration, parse_duration, parse_instant
from testlab_sim.tofupilot.service import Refusal, objects_in, text_in
from testlab_sim.tofupilot.shapes import final_attempts, log_line, phase_whole, run_head, stamp, validator

_STATUS = {
    "PASS": ("Pass", "Successful"),
    "FAIL": ("Fail", "Failed"),
    "ERROR": ("Error", "Failed"),
    "TIMEOUT": ("Timeout", "Failed"),
    "ABORTED": ("Aborted", "Failed"),
}
_OUTCOMES = {"phase": ("PASS", "FAIL", "SKIP", "ERROR"), "measurement": ("PASS", "FAIL", "UNSET")}


def draft_of(body: dict[str, Any], procedure: Procedure, now: float) -> Draft:
    """The draft a v1 body tells; without `started_at` the run began its `duration` before now."""
    unit = body.get("unit_under_test")
    passed = body.get("run_passed")
    if not isinstance(unit, dict):
        raise Refusal(400, "unit_under_test: expected an object")
    if not isinstance(passed, bool):
        raise Refusal(400, "run_passed: expected a boolean")
    under_test = cast("dict[str, Any]", unit)
    seconds = parse_duration(str(body["duration"]), "duration") if body.get("duration") else 0.0
    started = parse_instant(str(body["started_at"]), "started_at") if body.get("started_at") else now - seconds
    phases = _phases(objects_in(body, "phases"), started)
    if not seconds and phases:
        seconds = max(0.0, max(phase.ended for phase in phases) - started)
    variables: Any = body.get("report_variables") or {}
    if not isinstance(variables, dict):
        raise Refusal(400, "report_variables: expected an object")
    return Draft(
        procedure,
        text_in(under_test, "serial_number"),
        "PASS" if passed else "FAIL",
        started,
        started + seconds,
        str(under_test.get("part_number") or ""),
        str(under_test.get("part_name") or ""),
        str(under_test.get("revision") or ""),
        str(under_test.get("batch_number") or ""),
        str(body.get("procedure_version") or ""),
        "",
        [text_in(item, "serial_number") for item in objects_in(body, "sub_units")],
        {key: str(value) for key, value in cast("dict[str, Any]", variables).items()},
        detail=Detail(phases),
    )


def _phases(items: list[dict[str, Any]], started: float) -> list[Phase]:
    seen: dict[str, int] = {}
    phases: list[Phase] = []
    for item in items:
        name = text_in(item, "name")
        begun = (_number(item, "start_time_millis") or started * 1000) / 1000
        ended = (_number(item, "end_time_millis") or begun * 1000) / 1000
        retry = seen.get(name, 0)
        seen[name] = retry + 1
        measurements = [_measurement(m) for m in objects_in(item, "measurements")]
        outcome = _outcome(item, "phase")
        phases.append(Phase(name, outcome, begun, ended, retry, measurements, item.get("docstring")))
    return phases


def _measurement(item: dict[str, Any]) -> Measurement:
    units = item.get("units")
    made = Measurement(
        text_in(item, "name"),
        _outcome(item, "measurement"),
        item.get("measured_value"),
        str(units) if units is not None else None,
        docstring=item.get("docstring"),
    )
    limits_to_validators(made, _number(item, "lower_limit"), _number(item, "upper_limit"))
    return made


def _number(item: dict[str, Any], key: str) -> float | None:
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(400, f"{key}: expected a number")
    return value


def _outcome(item: dict[str, Any], kind: str) -> str:
    outcome = item.get("outcome")
    if outcome not in _OUTCOMES[kind]:
        raise Refusal(400, f"{kind} outcome: expected one of {', '.join(_OUTCOMES[kind])}")
    return str(outcome)


def documented(history: History, run: Run) -> dict[str, Any]:
    """A run as v1's document shows it; `id` and `procedure` are told too, as deleting and finding a run need them."""
    name, category = _STATUS[run.outcome]
    phases = history.detail(run).phases
    return {
        "id": run.id,
        "duration": duration(run.ended - run.started),
        "createdAt": stamp(run.created),
        "startedAt": stamp(run.started),
        "createdBy": {"email": run.operator or None},
        "status": {"name": name, "category": category},
        "procedure": {"id": run.procedure.id, "identifier": run.procedure.short, "name": run.procedure.name},
        "phases": [
            {
                "name": phase.name,
                "startedAt": stamp(phase.started),
                "duration": duration(phase.ended - phase.started),
                "outcome": phase.outcome,
                "measurements": [_documented(m) for m in phase.measurements],
            }
            for phase in phases
        ],
    }


def _documented(item: Measurement) -> dict[str, Any]:
    limits = {v.operator: v.expected for v in item.validators if v.decisive}
    return {
        "name": item.name,
        "measured_value": item.value,
        "outcome": item.outcome,
        "units": item.units,
        "lowerLimit": limits.get(">="),
        "upperLimit": limits.get("<="),
    }


def typed(history: History, run: Run) -> dict[str, Any]:
    """A run as tofupilot 1.12.1 types it (`v1/responses/responses.py`, `Run`)."""
    head, detail, unit = run_head(run), history.detail(run), run.unit
    final = final_attempts(detail.phases)
    component = {"id": unit.part.id, "part_number": unit.part.part_number, "name": unit.part.name}
    return {key: head[key] for key in ("id", "created_at", "started_at", "ended_at", "duration", "outcome")} | {
        "created_by_user": head["created_by_user"],
        "created_by_station": head["created_by_station"],
        "procedure": {"id": run.procedure.id, "identifier": run.procedure.short, "name": run.procedure.name},
        "procedure_version": {"id": run.version.id, "value": run.version.tag} if run.version else None,
        "unit": {
            "id": unit.id,
            "serial_number": unit.serial,
            "batch": head["unit"]["batch"],
            "revision": {"id": unit.revision.id, "identifier": unit.revision.name, "component": component},
        },
        "phases": [
            phase_whole(run, nth, phase) | {"is_final_attempt": nth in final, "measurements": _typed(run, nth, phase)}
            for nth, phase in enumerate(detail.phases)
        ],
        "attachments": [
            {"id": a.id, "filename": a.name, "content_type": a.content_type, "size": len(a.data)}
            for a in history.attachments(run)
        ],
        "file_import": None,
        "logs": [log_line(line) for line in detail.logs],
    }


def _typed(run: Run, nth: int, phase: Phase) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in phase.measurements:
        shown = _documented(item)
        shown["lower_limit"], shown["upper_limit"] = shown.pop("lowerLimit"), shown.pop("upperLimit")
        found.append(shown | {"validators": [validator(v) for v in item.validators]})
    return found
