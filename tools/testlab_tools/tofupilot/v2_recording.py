"""Recording with API v2: a run, a report to be read, files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from testlab_tools.capabilities import AttachmentSink, Importing, ReportImporter, RunSink
from testlab_tools.errors import AnswerLost, BadInput
from testlab_tools.models import CreatedRun
from testlab_tools.questions import NewRun
from testlab_tools.tofupilot.api import segment
from testlab_tools.tofupilot.creation import FOUND, same_moment, with_ref
from testlab_tools.tofupilot.models import Created, Imported, Imports, Named
from testlab_tools.tofupilot.uploads import IMPORTERS, MAX_BYTES, put
from testlab_tools.tofupilot.v2_api import PAGE, V2Api
from testlab_tools.tofupilot.v2_body import run_body, stamp
from testlab_tools.wire import decode

_NEAR = timedelta(seconds=1)


class V2Recording(V2Api, RunSink, AttachmentSink, ReportImporter):
    """`POST /v2/runs`, `/v2/imports/structured`, and the uploads they need."""

    most_bytes = MAX_BYTES
    importers = IMPORTERS

    async def create_run(self, run: NewRun) -> CreatedRun:
        procedure = await self.procedure(run)
        body = dict(run_body(run, procedure.id))

        async def find() -> str:
            return await self._recorded(run, procedure)

        sent = await with_ref(self.name, lambda: self.client.send("POST", "/api/v2/runs", body=body), find)
        if sent.reply is None:
            return self._created(run, procedure, sent.found, FOUND)
        self.checked(sent.reply, "run", "Check serial_number, part_number and the phases' times.")
        return self._created(run, procedure, decode(sent.reply, Created).id, _lossy(run))

    async def find_created(self, run: NewRun) -> CreatedRun | None:
        procedure = await self.procedure(run)
        found = await self._recorded(run, procedure)
        return self._created(run, procedure, found) if found else None

    def foresee(self, run: NewRun) -> list[str]:
        dict(run_body(run, run.procedure_id))
        return [lossy] if (lossy := _lossy(run)) else []

    async def attach(self, run_id: str, name: str, data: bytes) -> None:
        """`finalize` is sent as the vendor's command line does; the Python client 2.26.1 leaves it out."""
        upload = await put(self, f"/api/v2/runs/{segment(run_id)}/attachments", lambda _: {"name": name}, name, data)
        await self._finalize(upload)

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
            reply = await self.client.send("POST", "/api/v2/imports/structured", body=body)
        except AnswerLost:
            if anew:
                raise
            reply = await self.client.send("POST", "/api/v2/imports/structured", body=body)
        results = decode(self.checked(reply, "report"), Imports).results
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
            reply = await self.client.send("POST", path)
        except AnswerLost:
            reply = await self.client.send("POST", path)
        self.checked(reply, "upload", "Call again: the file did not arrive whole.")

    async def _recorded(self, run: NewRun, procedure: Named) -> str:
        """The id of the run of that unit, procedure and start; empty when there is none."""
        page = await self.run_page(
            {
                "serial_numbers": [run.serial_number],
                "procedure_ids": [procedure.id],
                "started_after": stamp(run.started_at - _NEAR),
                "started_before": stamp(run.started_at + _NEAR),
            }
        )
        return next((row.id for row in page.data if same_moment(row.started_at, run.started_at)), "")

    def _created(self, run: NewRun, procedure: Named, run_id: str, note: str = "") -> CreatedRun:
        return CreatedRun(
            run_id=self.handle(run_id),
            procedure=procedure.name,
            note=note,
            next="get_failed_cases(run_id) reads it back." if run.outcome != "pass" else "",
        )


def _lossy(run: NewRun) -> str:
    return "TofuPilot v2 names parts apart from runs: part_name was left out." if run.part_name else ""
