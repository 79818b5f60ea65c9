"""TofuPilot API v1: `/api/v1/…`, as its document describes it; older self-hosted servers speak only this."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import quote, unquote

from testlab_tools.capabilities import Health, RunArchive, Runs, RunSink
from testlab_tools.errors import BadReply, NotFound, Unsupported
from testlab_tools.http import Reply, clock_skew
from testlab_tools.models import CreatedRun, FailedRun, Outcome, Run
from testlab_tools.questions import NewMeasurement, NewPhase, NewRun, RunQuery
from testlab_tools.records import RunDetail
from testlab_tools.tofupilot.api import SENT, SENT_MEASUREMENT, TofuPilotApi
from testlab_tools.tofupilot.details import v1_detail
from testlab_tools.tofupilot.models import Created, Named, V1Run
from testlab_tools.tofupilot.phases import cases
from testlab_tools.wire import decode, decode_value

_OUTCOMES: dict[str, Outcome] = {"pass": "pass", "fail": "fail", "error": "error", "timeout": "error"}
_PROBE = "testlab-mcp-doctor"


class TofuPilotV1(TofuPilotApi, RunArchive, RunSink):
    """Runs of a unit, read and recorded.

    v1 finds runs only by serial number, so a run's native id is `<serial>/<id>`: `SN-1/005f1ec0-…`, or with the start
    time (`SN-1/2024-09-05T08:38:17.115000+00:00`) where the server sends no id.
    """

    def owns_run(self, run_id: str) -> bool:
        serial, slash, key = run_id.partition("/")
        return bool(serial and slash and key)

    async def probe(self) -> Health:
        """v1 has no account endpoint: asking for the runs of a serial number that does not exist needs the key too."""
        reply = await self.client.get("/api/v1/runs", {"serial_number": _PROBE})
        if reply.status != 404:
            self.checked(reply, "list of runs")
        return Health("", clock_skew(reply.headers))

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        if not query.unit:
            raise Unsupported(
                f"{self.name} lists runs only by serial number",
                "It speaks TofuPilot API v1",
                "Give unit=<serial number>.",
            )
        runs = [self._run(query.unit, row) for row in await self._rows(query.unit)]
        found = [run for run in runs if _matches(run, query)]
        found.sort(key=lambda run: run.started_at, reverse=not query.oldest_first)
        skip = int(after or 0)
        page = found[skip : skip + limit]
        for n, run in enumerate(page):
            run.position = str(skip + n + 1)
        return Runs(page, more=len(found) > skip + limit, total=len(found))

    async def get_run(self, run_id: str) -> RunDetail:
        serial, row = await self._row(run_id)
        return v1_detail(self._run(serial, row), row)

    async def failures(self, run_id: str) -> list[FailedRun]:
        serial, row = await self._row(run_id)
        every = cases(row.phases)
        failed = [case for case in every if case.outcome in ("fail", "error")]
        return [FailedRun(**self._run(serial, row).model_dump(), cases=failed, cases_run=len(every))]

    async def create_run(self, run: NewRun) -> CreatedRun:
        reply = await self.client.send("POST", "/api/v1/runs", body=dict(_body(run)))
        if reply.status == 404:
            raise NotFound(f"{self.name} has no such procedure", "", "Give the id it has in TofuPilot, such as FVT1.")
        self.checked(reply, "run", "Check serial_number, part_number and the phases.")
        created = decode(reply, Created)
        return CreatedRun(
            run_id=self.handle(f"{_native(run.serial_number)}/{created.id}"),
            procedure=run.procedure_id,
            note=_lossy(run),
            next="get_failed_cases(run_id) reads it back." if run.outcome != "pass" else "",
        )

    async def _row(self, run_id: str) -> tuple[str, V1Run]:
        serial, _, key = run_id.partition("/")
        serial = unquote(serial)
        for row in await self._rows(serial):
            if key in (row.id, row.started_at.isoformat()):
                return serial, row
        raise NotFound(f"{self.name} has no such run", "", "list_runs(unit=…) shows the runs of a unit.")

    async def _rows(self, serial: str) -> list[V1Run]:
        reply = await self.client.get("/api/v1/runs", {"serial_number": serial})
        if reply.status == 404 and _says_error(reply):
            return []
        return _decode_rows(self.checked(reply, "list of runs"))

    def _run(self, serial: str, row: V1Run) -> Run:
        return Run(
            run_id=self.handle(f"{_native(serial)}/{row.id or row.started_at.isoformat()}"),
            outcome=_outcome(row),
            test=row.procedure.name if isinstance(row.procedure, Named) else row.procedure or "",
            started_at=row.started_at,
            duration_s=round(row.duration or 0, 1),
            unit=serial,
        )


def _decode_rows(reply: Reply) -> list[V1Run]:
    """Three shapes: `{"data": […]}` (the document), `{"result": […]}` (client 1.12.1), a bare list (2.26.1)."""
    body: object = reply.json()
    if isinstance(body, dict):
        shapes = cast(dict[str, object], body)
        body = shapes.get("data", shapes.get("result"))
    return decode_value(reply, body, list[V1Run])


def _says_error(reply: Reply) -> bool:
    """Whether it is v1's own 404 (`{"error": {"message"}}`: no such unit) and not that of some other web server."""
    try:
        body: object = reply.json()
    except BadReply:
        return False
    return isinstance(body, dict) and "error" in body


def _outcome(row: V1Run) -> Outcome:
    """v1 says passed or not; a run that did not pass, and has erroneous phases but no failed one, is an error."""
    ended = {case.outcome for case in cases(row.phases)}
    if row.status is not None:
        said = _OUTCOMES.get(row.status.name.casefold(), "stopped")
    elif row.run_passed is not None:
        said = "pass" if row.run_passed else "fail"
    else:
        said = "fail" if ended & {"fail", "error"} else "pass"
    return "error" if said == "fail" and "error" in ended and "fail" not in ended else said


def _matches(run: Run, query: RunQuery) -> bool:
    return (
        (not query.outcome or run.outcome == query.outcome)
        and (not query.test or query.test.casefold() == run.test.casefold())
        and (query.since is None or run.started_at >= query.since)
        and (query.until is None or run.started_at < query.until)
        and not (query.part or query.station or query.job or query.text)
    )


def _lossy(run: NewRun) -> str:
    """v1 knows only passed or not."""
    return "" if run.outcome in ("pass", "fail") else f"TofuPilot v1 has no outcome {run.outcome}: kept as not passed."


def _body(run: NewRun) -> Iterator[tuple[str, Any]]:
    """`POST /v1/runs` ("Create a run")."""
    yield "procedure_id", run.procedure_id
    if run.procedure_name:
        yield "procedure_name", run.procedure_name
    unit = {
        "serial_number": run.serial_number,
        "part_number": run.part_number,
        "revision": run.revision,
        "batch_number": run.batch_number,
    }
    yield "unit_under_test", {key: value for key, value in unit.items() if value}
    yield "run_passed", run.outcome == "pass"
    yield "started_at", run.started_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "duration", _duration(run.ended_at - run.started_at)
    yield "client", "testlab-mcp"
    if run.procedure_version:
        yield "procedure_version", run.procedure_version
    if run.sub_units:
        yield "sub_units", [{"serial_number": serial} for serial in run.sub_units]
    if run.notes:
        yield "report_variables", {"notes": run.notes}
    if run.phases:
        yield "phases", [_phase(phase) for phase in run.phases]


def _phase(phase: NewPhase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "outcome": SENT[phase.outcome],
        "start_time_millis": _millis(phase.started_at),
        "end_time_millis": _millis(phase.ended_at),
        "measurements": [_measurement(m) for m in phase.measurements],
    }


def _measurement(m: NewMeasurement) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": m.name,
        "outcome": SENT_MEASUREMENT[m.outcome],
        "measured_value": m.value,
        "units": m.units or None,
        "lower_limit": m.lower,
        "upper_limit": m.upper,
        "docstring": f"expected {m.expected}" if m.expected else None,
    }
    return {key: value for key, value in row.items() if value is not None}


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _duration(length: timedelta) -> str:
    return f"PT{length.total_seconds():.3f}S"


def _native(serial: str) -> str:
    return quote(serial, safe="")
