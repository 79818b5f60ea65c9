"""Recording with API v2: a run, a report to be read, files beside them.

A run is sent to `POST /v2/runs` as the vendor's client 2.26.1 does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from testlab_tools.adapters.tofupilot.cases import OUTCOMES, cases, describe_failed, failed
from testlab_tools.adapters.tofupilot.client import (
    FOUND,
    SENT,
    SENT_MEASUREMENT,
    check_identifier,
    record,
    same_moment,
    segment,
    stamp,
)
from testlab_tools.adapters.tofupilot.models import (
    Attachment,
    Finalized,
    Identified,
    Imported,
    Imports,
    Named,
    RunRow,
)
from testlab_tools.adapters.tofupilot.recorder import Recorder, doubtful
from testlab_tools.adapters.tofupilot.refusals import CULPRITS, Place, PlaceOf, foresee_v2, refusal
from testlab_tools.adapters.tofupilot.v2_runs import PAGE, V2Runs
from testlab_tools.capabilities import Foreseen, Importing, Keeping
from testlab_tools.errors import AnswerLost, BadInput, NotFound
from testlab_tools.http.errors import reason_in, to_reason
from testlab_tools.http.response import decode
from testlab_tools.limits import Limits
from testlab_tools.models.lab import CreatedRun, StoredRun
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun

_NEAR = timedelta(seconds=1)


def run_body(run: NewRun, procedure_id: str) -> dict[str, Any]:
    """`POST /v2/runs`: optional fields are left out, not sent as null."""
    body = {
        "procedure_id": procedure_id,
        "serial_number": check_identifier(run.serial_number, "serial_number"),
        "outcome": SENT[run.outcome],
        "started_at": stamp(run.started_at),
        "ended_at": stamp(run.ended_at),
        "client_run_ref": run.ref,
        "part_number": run.part_number and check_identifier(run.part_number, "part_number"),
        "revision_number": run.revision and check_identifier(run.revision, "revision_number"),
        "batch_number": run.batch_number,
        "procedure_version": run.procedure_version,
        "docstring": run.notes,
        "sub_units": list(run.sub_units),
        "metadata": dict(run.variables),
        "phases": list(_phases(run.phases)),
    }
    return {key: value for key, value in body.items() if value}


def _phases(phases: tuple[NewPhase, ...]) -> Iterator[dict[str, Any]]:
    tries: dict[str, int] = {}
    for phase in phases:
        count = tries[phase.name] = tries.get(phase.name, -1) + 1
        yield {
            "name": phase.name,
            "outcome": SENT[phase.outcome],
            "started_at": stamp(phase.started_at),
            "ended_at": stamp(phase.ended_at),
            "retry_count": count,
            "measurements": [_measurement(m) for m in phase.measurements],
        }


def _measurement(m: NewMeasurement) -> dict[str, Any]:
    row = {
        "name": m.name,
        "outcome": SENT_MEASUREMENT[m.outcome],
        "measured_value": m.value,
        "units": m.units or None,
        "validators": list(_validators(m)) or None,
    }
    return {key: value for key, value in row.items() if value is not None}


def _validators(m: NewMeasurement) -> Iterator[dict[str, Any]]:
    """One per limit, each with its own outcome: the server stores it as sent and does not evaluate."""
    for operator, limits, bound in ((">=", Limits(lower=m.lower), m.lower), ("<=", Limits(upper=m.upper), m.upper)):
        if bound is not None:
            kept = limits.allow(m.value)
            outcome = m.outcome if kept is None else "pass" if kept else "fail"
            yield {"operator": operator, "expected_value": bound, "outcome": SENT_MEASUREMENT[outcome]}
    if m.expected:
        pattern = m.expected.removeprefix("matches /").removesuffix("/")
        operator = "==" if pattern == m.expected else "matches"
        yield {"operator": operator, "expected_value": pattern, "outcome": SENT_MEASUREMENT[m.outcome]}


class V2Recording(V2Runs, Recorder):
    """`POST /v2/runs`, `/v2/imports/structured`, and the uploads they need."""

    async def create_run(self, run: NewRun) -> CreatedRun:
        procedure = await self.procedure(run)
        body = run_body(run, procedure.id)
        send = partial(self.change, "POST", "/api/v2/runs", Identified, body=body)
        sent = await record(send, partial(self._recorded, run, procedure), has_ref=True)
        if isinstance(sent, str):
            return self.created(run, sent, procedure.name, FOUND)
        if sent.status in CULPRITS:
            refused = await refusal(self.name, sent, run, self._place_of(run), procedure_known=True)
            raise refused.saying(reason_in(sent))
        self.check(sent, "run", "Check serial_number, part_number and the phases' times.", act="record")
        return self.created(run, decode(sent, Identified).id, procedure.name, _lossy(run))

    async def find_created(self, run: NewRun) -> CreatedRun | None:
        procedure = await self.procedure(run)
        found = await self._recorded(run, procedure)
        return self.created(run, found, procedure.name, "") if found else None

    async def read_stored(self, run_id: str) -> StoredRun:
        """`created_during` of the unit is the run that made it."""
        row = await self.whole_run(run_id)
        unit = await self.unit_of(row.unit.serial_number)
        made_by = unit.created_during
        part = row.unit.part
        return StoredRun(
            unit=row.unit.serial_number,
            unit_is="not told" if made_by is None else "new" if made_by.id == row.id else "known",
            part=part.number if part else "",
            part_revision=part.revision.number if part and part.revision else "",
            procedure=row.procedure.name,
            outcome=OUTCOMES[row.outcome],
            started_at=row.started_at,
            duration_s=round((row.ended_at - row.started_at).total_seconds(), 1),
            reason=describe_failed(failed(cases(row.phases or []))),
        )

    def foresee_losses(self, run: NewRun) -> list[str]:
        run_body(run, run.procedure_id)
        return [lossy] if (lossy := _lossy(run)) else []

    async def check_run(self, run: NewRun) -> Foreseen:
        return await foresee_v2(self, run, self._place_of(run))

    async def attach(self, run_id: str, name: str, data: bytes, keeping: Keeping | None = None) -> None:
        """`finalize` is sent as the vendor's command line does; the Python client 2.26.1 leaves it out."""
        path = f"/api/v2/runs/{segment(run_id)}/attachments"
        upload = await self.upload(path, {"name": name}, name, data, keeping, partial(self.has_file, run_id))
        try:
            await self._finalize(upload)
        except AnswerLost as lost:
            if not await self.has_file(run_id, upload):
                raise doubtful(lost) from None

    async def files_of(self, run_id: str) -> list[Attachment]:
        return (await self.whole_run(run_id)).attachments or []

    async def import_file(
        self, name: str, data: bytes, importer: str, serial_number: str = "", importing: Importing | None = None
    ) -> list[str]:
        """The same content is not imported twice, so a lost answer is asked for once more; unless all that it once
        became was deleted."""
        upload = await self.upload("/api/v2/attachments", {"name": name}, name, data)
        await self._finalize(upload)
        if importing is not None:
            await importing()
        result = await self._import(upload, importer, anew=False)
        if result.already_imported and not (await self.run_page({"ids": result.every()[:PAGE]})).data:
            result = await self._import(upload, importer, anew=True)
        return result.every()

    async def find_imported(
        self, earlier: Sequence[str], serial_number: str, started_at: datetime | None
    ) -> list[str] | None:
        """None of them needs to be found: v2 answers a second import of the same content with `already_imported`."""
        return []

    async def _import(self, upload: str, importer: str, *, anew: bool) -> Imported:
        body = {"items": [{"upload_id": upload, "importer": importer}], "allow_duplicate": anew}
        reply = await self.change("POST", "/api/v2/imports/structured", Imports, twice=not anew, body=body)
        results = decode(self.check(reply, "report", act="import"), Imports).results
        result = next((result for result in results if result.success and result.every()), None)
        if result is None:
            said = to_reason(*(result.error for result in results if result.error))
            what = f"{self.name} could not read the report"
            raise BadInput(what, "", f"Is it one that {importer} reads, and whole?").saying(said)
        return result

    async def _finalize(self, upload: str) -> None:
        """Done over when its answer is lost: nothing but the upload's state depends on it."""
        path = f"/api/v2/attachments/{segment(upload)}/finalize"
        reply = await self.change("POST", path, Finalized, twice=True)
        self.check(reply, "upload", "Call again: the file did not arrive whole.")

    def _place_of(self, run: NewRun) -> PlaceOf:
        async def find(serial: str) -> Place:
            try:
                unit = await self.unit_of(serial)
            except NotFound:
                return Place.UNKNOWN
            held = unit.parent.serial_number if unit.parent else run.serial_number
            return Place.FREE if held.casefold() == run.serial_number.casefold() else Place.ELSEWHERE

        return find

    async def _recorded(self, run: NewRun, procedure: Named) -> str:
        """The id of that run; empty when it is not there."""
        page = await self.run_page(
            {
                "serial_numbers": [run.serial_number],
                "procedure_ids": [procedure.id],
                "started_after": stamp(run.started_at - _NEAR),
                "started_before": stamp(run.started_at + _NEAR),
            }
        )
        return next((row.id for row in page.data if _is(row, run)), "")


def _is(row: RunRow, run: NewRun) -> bool:
    """Whether it is that run: as people give times, two of a unit may begin in one moment."""
    times = same_moment(row.started_at, run.started_at) and same_moment(row.ended_at, run.ended_at)
    return times and row.outcome == SENT[run.outcome]


def _lossy(run: NewRun) -> str:
    return "TofuPilot v2 names parts apart from runs: part_name was left out." if run.part_name else ""
