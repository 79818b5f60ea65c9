"""TofuPilot API v1: `/api/v1/…`, as its document describes it; older self-hosted servers speak only this."""

from __future__ import annotations

from urllib.parse import unquote

from testlab_tools.capabilities import Health, RunContents, RunEraser, Runs, UnitArchive
from testlab_tools.errors import AnswerLost, NotFound, Unsupported
from testlab_tools.http import clock_skew
from testlab_tools.models import FailedRun, Outcome, Run
from testlab_tools.questions import RunQuery
from testlab_tools.records import RunDetail
from testlab_tools.tofupilot.api import still_there
from testlab_tools.tofupilot.details import v1_detail
from testlab_tools.tofupilot.models import Named
from testlab_tools.tofupilot.phases import OUTCOMES, cases
from testlab_tools.tofupilot.v1_api import V1Api, deletable, quoted, split
from testlab_tools.tofupilot.v1_models import V1Run

_OUTCOMES: dict[str, Outcome] = {"pass": "pass", "fail": "fail", "error": "error", "timeout": "error"}
_PROBE = "testlab-mcp-doctor"


class V1Runs(V1Api, UnitArchive, RunEraser):
    """Runs of a unit, read and deleted.

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
        runs = [self._run(query.unit, row) for row in await self.rows(query.unit) or ()]
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

    async def run_contents(self, run_id: str) -> RunContents:
        """v1 does not tell of attachments."""
        deletable(self.name, run_id)
        serial, row = await self._row(run_id)
        measurements = sum(len(phase.measurements) for phase in row.phases)
        return RunContents(self._run(serial, row), len(row.phases), measurements)

    async def delete_run(self, run_id: str) -> None:
        key = deletable(self.name, run_id)
        try:
            reply = await self.client.send("DELETE", f"/api/v1/runs/{key}")
        except AnswerLost as lost:
            if await self._is_there(run_id):
                raise still_there(lost, "run") from None
            return
        self.checked(reply, "run", "list_runs(unit=…) shows the runs of a unit.")

    async def _is_there(self, run_id: str) -> bool:
        try:
            await self._row(run_id)
        except NotFound:
            return False
        return True

    async def _row(self, run_id: str) -> tuple[str, V1Run]:
        quoted_serial, key = split(run_id)
        serial = unquote(quoted_serial)
        for row in await self.rows(serial) or ():
            if key in (row.id, row.started_at.isoformat()):
                return serial, row
        raise NotFound(f"{self.name} has no such run", "", "list_runs(unit=…) shows the runs of a unit.")

    def _run(self, serial: str, row: V1Run) -> Run:
        return Run(
            run_id=self.handle(f"{quoted(serial)}/{row.id or row.started_at.isoformat()}"),
            outcome=_outcome(row),
            test=row.procedure.name if isinstance(row.procedure, Named) else row.procedure or "",
            started_at=row.started_at,
            duration_s=round(row.duration or 0, 1),
            unit=serial,
        )


def _outcome(row: V1Run) -> Outcome:
    """Client 1.12.1 types an outcome; the document says passed or not: then a run that did not pass, and has erroneous
    phases but no failed one, is an error."""
    ended = {case.outcome for case in cases(row.phases)}
    if row.outcome is not None:
        return OUTCOMES[row.outcome]
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
