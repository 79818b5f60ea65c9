"""Recording with API v2: a run, a report to be read, files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from testlab_tools.adapters.tofupilot.client import FOUND, SENT, same_moment, segment, with_ref
from testlab_tools.adapters.tofupilot.dry_run import foresee_v2
from testlab_tools.adapters.tofupilot.models import (
    Attachment,
    Created,
    Finalized,
    Imported,
    Imports,
    Named,
    RunRow,
    WholeRun,
)
from testlab_tools.adapters.tofupilot.refusals import CULPRITS, Place, refusal
from testlab_tools.adapters.tofupilot.uploads import IMPORTERS, MAX_BYTES, doubtful, put
from testlab_tools.adapters.tofupilot.v2_body import run_body, stamp
from testlab_tools.adapters.tofupilot.v2_client import PAGE, V2Api
from testlab_tools.capabilities import AttachmentSink, Foreseen, Importing, Keeping, KeptFile, ReportImporter, RunSink
from testlab_tools.errors import AnswerLost, BadInput, LabError, NotFound
from testlab_tools.http import Reply
from testlab_tools.http.response import decode
from testlab_tools.models.lab import CreatedRun
from testlab_tools.models.requests import NewRun

_NEAR = timedelta(seconds=1)


class V2Recording(V2Api, RunSink, AttachmentSink, ReportImporter):
    """`POST /v2/runs`, `/v2/imports/structured`, and the uploads they need."""

    max_bytes = MAX_BYTES
    importers = IMPORTERS

    async def create_run(self, run: NewRun) -> CreatedRun:
        procedure = await self.procedure(run)
        body = dict(run_body(run, procedure.id))

        async def find() -> str:
            return await self._recorded(run, procedure)

        async def send() -> Reply:
            return await self.change("POST", "/api/v2/runs", Created, body=body)

        sent = await with_ref(self.name, send, find)
        if sent.reply is None:
            return self._created(run, procedure, sent.found, FOUND)
        if sent.reply.status in CULPRITS and self.is_own_error(sent.reply):
            place_of = partial(self._place_of, parent=run.serial_number)
            raise await refusal(self.name, sent.reply, run, place_of, procedure_known=True)
        self.check(sent.reply, "run", "Check serial_number, part_number and the phases' times.", act="record")
        return self._created(run, procedure, decode(sent.reply, Created).id, _lossy(run))

    async def find_created(self, run: NewRun) -> CreatedRun | None:
        procedure = await self.procedure(run)
        found = await self._recorded(run, procedure)
        return self._created(run, procedure, found) if found else None

    def foresee_losses(self, run: NewRun) -> list[str]:
        dict(run_body(run, run.procedure_id))
        return [lossy] if (lossy := _lossy(run)) else []

    async def check_run(self, run: NewRun) -> Foreseen:
        return await foresee_v2(self, run, partial(self._place_of, parent=run.serial_number))

    async def attach(self, run_id: str, name: str, data: bytes, keeping: Keeping | None = None) -> None:
        """`finalize` is sent as the vendor's command line does; the Python client 2.26.1 leaves it out."""
        path = f"/api/v2/runs/{segment(run_id)}/attachments"
        is_there = partial(self._has_file, run_id)
        upload = await put(self, path, lambda _: {"name": name}, name, data, keeping, is_there)
        try:
            await self._finalize(upload)
        except AnswerLost as lost:
            if not await self._has_file(run_id, upload):
                raise doubtful(lost) from None

    async def list_attached(self, run_id: str) -> list[KeptFile] | None:
        return [KeptFile(file.name, file.size) for file in await self._files(run_id)]

    async def import_file(
        self, name: str, data: bytes, importer: str, serial_number: str = "", importing: Importing | None = None
    ) -> list[str]:
        """The same content is not imported twice, so a lost answer is asked for once more; unless all that it once
        became was deleted."""
        upload = await put(self, "/api/v2/attachments", lambda _: {"name": name}, name, data)
        await self._finalize(upload)
        if importing is not None:
            await importing()
        result = await self._import(upload, importer, anew=False)
        if result.already_imported and not await self._any_there(result.every()):
            result = await self._import(upload, importer, anew=True)
        return result.every()

    async def find_imported(
        self, earlier: Sequence[str], serial_number: str, started_at: datetime | None
    ) -> list[str] | None:
        """None of them needs to be found: v2 answers a second import of the same content with `already_imported`."""
        return []

    async def _import(self, upload: str, importer: str, *, anew: bool) -> Imported:
        body = {"items": [{"upload_id": upload, "importer": importer}], "allow_duplicate": anew}
        try:
            reply = await self.change("POST", "/api/v2/imports/structured", Imports, body=body)
        except AnswerLost:
            if anew:
                raise
            reply = await self.change("POST", "/api/v2/imports/structured", Imports, body=body)
        results = decode(self.check(reply, "report", act="import"), Imports).results
        result = next((result for result in results if result.success and result.every()), None)
        if result is None:
            raise BadInput(f"{self.name} could not read the report", "", f"Is it one that {importer} reads, and whole?")
        return result

    async def _any_there(self, run_ids: Sequence[str]) -> bool:
        """Whether a run of these still exists."""
        page = await self.run_page({"ids": list(run_ids)[:PAGE]})
        return bool(page.data)

    async def _finalize(self, upload: str) -> None:
        """Done over when its answer is lost: nothing but the upload's state depends on it."""
        path = f"/api/v2/attachments/{segment(upload)}/finalize"
        try:
            reply = await self.change("POST", path, Finalized)
        except AnswerLost:
            reply = await self.change("POST", path, Finalized)
        self.check(reply, "upload", "Call again: the file did not arrive whole.")

    async def _files(self, run_id: str) -> list[Attachment]:
        reply = await self.client.get(f"/api/v2/runs/{segment(run_id)}")
        return decode(self.check(reply, "run"), WholeRun).attachments or []

    async def _has_file(self, run_id: str, upload_id: str) -> bool:
        """Whether it is known to be with the run."""
        try:
            return any(file.id == upload_id for file in await self._files(run_id))
        except LabError:
            return False

    async def _place_of(self, serial: str, parent: str) -> Place:
        try:
            unit = await self.unit_of(serial)
        except NotFound:
            return Place.UNKNOWN
        held = unit.parent.serial_number if unit.parent else parent
        return Place.FREE if held.casefold() == parent.casefold() else Place.ELSEWHERE

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

    def _created(self, run: NewRun, procedure: Named, run_id: str, note: str = "") -> CreatedRun:
        return CreatedRun(
            run_id=self.handle(run_id),
            procedure=procedure.name,
            note=note,
            next="get_failed_cases(run_id) reads it back." if run.outcome != "pass" else "",
        )


def _is(row: RunRow, run: NewRun) -> bool:
    """Whether it is that run: as people give times, two of a unit may begin in one moment."""
    times = same_moment(row.started_at, run.started_at) and same_moment(row.ended_at, run.ended_at)
    return times and row.outcome == SENT[run.outcome]


def _lossy(run: NewRun) -> str:
    return "TofuPilot v2 names parts apart from runs: part_name was left out." if run.part_name else ""
