"""Tools about production: record a run or a report, and list procedures, parts, batches and stations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

from pydantic import ConfigDict, Field

from testlab_tools.bounded_json import load_json
from testlab_tools.capabilities import ProductionCatalog, ReportImporter, RunSink
from testlab_tools.cursors import decode_cursor, encode_cursor
from testlab_tools.errors import BadInput
from testlab_tools.late_model import LateModel
from testlab_tools.late_module import LateModule
from testlab_tools.limits import Limits
from testlab_tools.models.lab import CreatedRun
from testlab_tools.models.requests import MeasurementOutcome, NewMeasurement, NewPhase, NewRun, PhaseOutcome, RunOutcome
from testlab_tools.models.results import DefinitionKind, Definitions
from testlab_tools.registry import ADD, LOOK, Call, tool
from testlab_tools.times import parse_time

if TYPE_CHECKING:
    from testlab_tools.recording import import_report as importing
    from testlab_tools.recording import record
    from testlab_tools.reports import formats
else:
    importing = LateModule("testlab_tools.recording.import_report")
    record = LateModule("testlab_tools.recording.record")
    formats = LateModule("testlab_tools.reports.formats")

MAX_DATA_ELEMENTS = 100_000
"""Of the JSON that a measurement is: points, say."""


class MeasurementIn(LateModel):
    """A measurement as the agent gives it; `limits` as OpenHTF writes them, e.g. `4.85 <= x <= 5.15`. Its outcome, left
    out, is judged by them.

    What was measured is a number, text, a flag or JSON data: several clients cannot read a field of many types.
    """

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    value: Annotated[float, Field(description="Or text, flag, data", allow_inf_nan=False)] = 0
    text: str = ""
    flag: bool = False
    data: Annotated[str, Field(description="JSON")] = ""
    units: str = ""
    limits: Annotated[str, Field(description="4.85 <= x <= 5.15, or expected text")] = ""
    outcome: Literal["", "pass", "fail", "unset"] = ""

    def measured(self) -> Any:
        """What was measured; None when nothing was. Raises BadInput when several are given, or data is not JSON."""
        given = self.model_fields_set & {"value", "text", "flag", "data"}
        if len(given) > 1:
            raise BadInput("A measurement has several values", "", f"Give one of {', '.join(sorted(given))}.")
        if given != {"data"}:
            return getattr(self, given.pop()) if given else None
        try:
            return load_json(self.data, max_elements=MAX_DATA_ELEMENTS, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise BadInput("A measurement's data is not JSON", "", "Put plain text into text.") from None


class PhaseIn(LateModel):
    """A phase as the agent gives it; a retried one once per attempt, in order."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    outcome: PhaseOutcome
    started_at: str = ""
    duration_s: Annotated[float, Field(ge=0)] = 0
    measurements: list[MeasurementIn] = []


@tool(toolset="production", access="operate", needs=RunSink, hints=ADD)
async def create_run(
    call: Call,
    procedure_id: Annotated[str, Field(min_length=1, description="Id or name")],
    serial_number: Annotated[str, Field(min_length=1)],
    outcome: RunOutcome,
    phases: Annotated[list[PhaseIn], Field(description="Retried: once per attempt")] = [],
    started_at: str = "",
    ended_at: str = "",
    part_number: str = "",
    part_name: str = "",
    revision: str = "",
    batch_number: str = "",
    procedure_version: str = "",
    procedure_name: str = "",
    sub_units: list[str] = [],
    notes: str = "",
    variables: dict[str, str] = {},
    attachments: Annotated[list[str], Field(max_length=20)] = [],
    service: str = "",
) -> CreatedRun:
    """Record a finished production run, of a new unit too; run_tests starts tests."""
    sink = call.lab.one(RunSink, service)
    files = record.read_attachments(call.files, attachments, sink)
    start, end = _resolve_span(started_at, ended_at, phases)
    run = NewRun(
        procedure_id=call.lab.native(procedure_id),
        serial_number=serial_number,
        outcome=outcome,
        started_at=start,
        ended_at=end,
        ref=str(uuid4()),
        part_number=part_number,
        part_name=part_name,
        revision=revision,
        batch_number=batch_number,
        procedure_name=procedure_name,
        procedure_version=procedure_version,
        notes=notes,
        phases=_phases(phases, start),
        sub_units=tuple(sub_units),
        variables=tuple(variables.items()),
    )
    done = await record.record_run(call, sink, run, files, call.digest)
    left = f"Not attached: {', '.join(done.left)} ({done.why})." if done.left else ""
    note = " ".join(part for part in (done.created.note, _note_contradictions(run), left) if part)
    return done.created.model_copy(update={"note": note})


def _note_contradictions(run: NewRun) -> str:
    """What contradicts itself in a run: services keep it as it is sent."""
    last = {phase.name: phase for phase in run.phases}.values()
    failed = sum(phase.outcome in ("fail", "error") for phase in last)
    broken = sum(phase.outcome == "pass" and any(m.outcome == "fail" for m in phase.measurements) for phase in last)
    doubts = [f"{failed} of its phases did not pass"] if failed and run.outcome == "pass" else []
    doubts += [f"{broken} of its phases passed with a measurement that fails"] if broken else []
    return f"Recorded with outcome {run.outcome}, though {' and '.join(doubts)}." if doubts else ""


def _refuse_constant(constant: str) -> None:
    """NaN and infinities are no JSON: a service could not read them."""
    raise ValueError(f"{constant} is not JSON")


def _resolve_span(started_at: str, ended_at: str, phases: list[PhaseIn]) -> tuple[datetime, datetime]:
    length = timedelta(seconds=sum(phase.duration_s for phase in phases))
    end = parse_time(ended_at, "ended_at")
    start = parse_time(started_at, "started_at") or (end or datetime.now(UTC)) - length
    end = end or start + length
    if end < start:
        raise BadInput("ended_at is before started_at", "", "Swap or correct them.")
    return start, end


def _phases(phases: list[PhaseIn], start: datetime) -> tuple[NewPhase, ...]:
    """Phases that do not say when they began follow one another."""
    made: list[NewPhase] = []
    clock = start
    for phase in phases:
        begun = parse_time(phase.started_at, "phases.started_at") or clock
        clock = begun + timedelta(seconds=phase.duration_s)
        measurements = tuple(_measurement(m) for m in phase.measurements)
        made.append(NewPhase(phase.name, phase.outcome, begun, clock, measurements))
    return tuple(made)


def _measurement(given: MeasurementIn) -> NewMeasurement:
    limits = Limits.parse(given.limits) if given.limits else Limits()
    value = given.measured()
    kept = limits.allow(value)
    broken = kept is False and given.outcome == "pass"
    if broken or (kept and not limits.expected and given.outcome == "fail"):
        raise BadInput(
            f"A measurement is said to {given.outcome}",
            f"Its value lies {'outside' if broken else 'within'} its limits",
            "Correct value, limits or outcome; leave outcome out to have it worked out.",
        )
    outcome = given.outcome or _judge(value, limits, kept)
    return NewMeasurement(given.name, outcome, value, given.units, limits.lower, limits.upper, limits.expected)


def _judge(value: object, limits: Limits, kept: bool | None) -> MeasurementOutcome:
    """TofuPilot's rule: fail when a limit is broken, unset without a value, pass for a value without limits."""
    if value is None:
        return "unset"
    if limits == Limits():
        return "pass"
    if kept is False or (kept and not limits.expected):
        return "pass" if kept else "fail"
    text = limits.expected
    if isinstance(value, bool) and text.casefold() in ("true", "false"):
        return "pass" if str(value).casefold() == text.casefold() else "fail"
    if isinstance(value, str) and limits == Limits(expected=text) and not text.startswith("matches "):
        return "pass" if value == text else "fail"
    raise BadInput(
        "Whether a measurement passed cannot be worked out from its limits",
        "They are not a range of numbers, or its value is not a number",
        "Give its outcome, or limits as lower <= x <= upper.",
    )


@tool(toolset="production", access="operate", needs=RunSink, hints=ADD)
async def import_report(
    call: Call,
    path: Annotated[str, Field(description="Below [files] read_from")] = "",
    content: str = "",
    format: formats.Given = "auto",
    dry_run: bool = False,
    serial_number: Annotated[str, Field(description="Fill or replace the report's")] = "",
    procedure_id: str = "",
    part_number: str = "",
    started_at: str = "",
    service: str = "",
) -> importing.ImportedReport:
    """Record the run that a test report tells of; the same report twice is one run.

    dry_run shows what would be recorded, is missing, lost or refused.
    """
    source = await importing.open_report(call.files, path, content, format)
    form = source.form
    given = importing.ReportOverrides(
        serial_number, call.lab.native(procedure_id), part_number, parse_time(started_at, "started_at")
    )
    if form in formats.IMPORTERS:
        importer = call.lab.one(ReportImporter, service)
        if dry_run:
            return importing.plan_import(importer, form, source.data)
        return await importing.deliver_report(call, importer, form, source.name, source.data, given)
    sink = call.lab.one(RunSink, service)
    report = await importing.read_report(call.files, path, source, given)
    return (
        await importing.plan_report(call.deadline, sink, form, report)
        if dry_run
        else await importing.record_report(call, sink, form, report)
    )


_NEXT: dict[DefinitionKind, str] = {
    "procedures": "create_run takes the id.",
    "parts": "create_run takes number and revision.",
    "batches": "get_unit shows a unit by serial number.",
    "stations": "list_runs(station=…) takes id or name.",
}


@tool(toolset="production", access="observe", needs=ProductionCatalog, hints=LOOK)
async def list_catalog(
    call: Call,
    kind: DefinitionKind = "procedures",
    search: str = "",
    service: str = "",
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    cursor: str = "",
) -> Definitions:
    """List procedures for create_run, parts with revisions, batches or stations; no runs: list_runs."""
    catalog = call.lab.one(ProductionCatalog, service)
    question = "\n".join((catalog.name, kind, search, str(limit)))
    after = decode_cursor(cursor, question) if cursor else ""
    page = await catalog.list_definitions(kind, search, limit, str(after))
    more = "More follow: pass cursor, with the same arguments. How many in all is not said." if page.after else ""
    return Definitions(
        found=page.found,
        cursor=encode_cursor(question, page.after) if page.after else "",
        note=" ".join(part for part in (page.note, more) if part),
        next=_NEXT[kind] if page.found else "",
    )
