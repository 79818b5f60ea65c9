"""Recording with API v1: a run, a report to be read, files beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from testlab_tools.capabilities import AttachmentSink, Importing, ReportImporter, RunSink
from testlab_tools.errors import NotFound
from testlab_tools.models import CreatedRun
from testlab_tools.questions import NewRun
from testlab_tools.tofupilot.creation import FOUND, same_moment, without_ref
from testlab_tools.tofupilot.uploads import IMPORTERS, MAX_BYTES, put
from testlab_tools.tofupilot.v1_api import V1Api, quoted, told_id
from testlab_tools.tofupilot.v1_body import run_body
from testlab_tools.tofupilot.v1_models import V1Created, V1Procedure, V1Run
from testlab_tools.wire import decode


class V1Recording(V1Api, RunSink, AttachmentSink, ReportImporter):
    """`POST /v1/runs`, `/v1/import` and the uploads they need."""

    most_bytes = MAX_BYTES
    importers = IMPORTERS
    """The document names OPENHTF; a server without another answers 400."""

    async def create_run(self, run: NewRun) -> CreatedRun:
        body = dict(run_body(run))

        async def find() -> str:
            return await self._recorded(run)

        sent = await without_ref(self.name, lambda: self.client.send("POST", "/api/v1/runs", body=body), find)
        if sent.reply is None:
            return self._created(run, sent.found, FOUND)
        if sent.reply.status == 404:
            raise NotFound(f"{self.name} has no such procedure", "", "Give the id it has in TofuPilot, such as FVT1.")
        self.checked(sent.reply, "run", "Check serial_number, part_number and the phases.")
        return self._created(run, decode(sent.reply, V1Created).key or _start(run))

    async def find_created(self, run: NewRun) -> CreatedRun | None:
        found = await self._recorded(run)
        return self._created(run, found) if found else None

    def foresee(self, run: NewRun) -> list[str]:
        return [lossy] if (lossy := _lossy(run)) else []

    async def attach(self, run_id: str, name: str, data: bytes) -> None:
        key = told_id(self.name, run_id, "no file can be kept with it")
        body = {"upload_id": await self._upload(name, data), "run_id": key}
        self.checked(await self.client.send("POST", "/api/v1/uploads/sync", body=body), "run", "The file was not kept.")

    async def import_file(
        self, name: str, data: bytes, importer: str, serial_number: str = "", importing: Importing | None = None
    ) -> list[str]:
        """v1 tells one id at most, and not whose run it is: the id alone can be deleted but not found again."""
        upload = await self._upload(name, data)
        if importing is not None:
            await importing()
        body = {"upload_id": upload, "importer": importer, "client": "testlab-mcp"}
        reply = await self.client.send("POST", "/api/v1/import", body=body)
        created = decode(self.checked(reply, "report", f"Is it one that {importer} reads, and whole?"), V1Created)
        if not created.key:
            return []
        return [f"{quoted(serial_number)}/{created.key}" if serial_number else created.key]

    async def find_imported(
        self, earlier: Sequence[str], serial_number: str, started_at: datetime | None
    ) -> list[str] | None:
        """v1 imports the same content again. It shows runs only of a unit, where they are known by id or start."""
        keys = {run_id.rpartition("/")[2] for run_id in earlier}
        if not serial_number or not (keys or started_at):
            return None
        rows = await self.rows(serial_number) or ()
        if started_at is None and not all(row.id for row in rows):
            return None
        found = [
            row.id or row.started_at.isoformat()
            for row in rows
            if row.id in keys or (started_at is not None and same_moment(row.started_at, started_at))
        ]
        return [f"{quoted(serial_number)}/{key}" for key in found[:1]]

    async def _upload(self, name: str, data: bytes) -> str:
        def announced(kind: str) -> Mapping[str, object]:
            """`sizeBytes` binds the URL to that size, and is left out when 0 (client 2.26.1)."""
            return {"name": name, "mimeType": kind} | ({"sizeBytes": len(data)} if data else {})

        return await put(self, "/api/v1/uploads/initialize", announced, name, data)

    async def _recorded(self, run: NewRun) -> str:
        """The key of the run as it stands in the list of its unit's runs; empty when it does not."""
        rows = await self.rows(run.serial_number) or ()
        return next((row.id or row.started_at.isoformat() for row in rows if _is(row, run)), "")

    def _created(self, run: NewRun, key: str, note: str = "") -> CreatedRun:
        return CreatedRun(
            run_id=self.handle(f"{quoted(run.serial_number)}/{key}"),
            procedure=run.procedure_id,
            note=f"{note} {_lossy(run)}".strip(),
            next="get_failed_cases(run_id) reads it back." if run.outcome != "pass" else "",
        )


def _is(row: V1Run, run: NewRun) -> bool:
    """Whether it is that run: its procedure and its start. The document shows no procedure; then its start decides."""
    if not same_moment(row.started_at, run.started_at):
        return False
    if row.procedure is None:
        return True
    told = row.procedure
    names = {told.id, told.name, told.identifier} if isinstance(told, V1Procedure) else {told}
    asked = {run.procedure_id.casefold(), run.procedure_name.casefold()}
    return any(name and name.casefold() in asked for name in names)


def _start(run: NewRun) -> str:
    """What names a run in the list of its unit's runs where the server sends no ids: its start, as it was sent."""
    start = run.started_at.astimezone(UTC)
    return start.replace(microsecond=start.microsecond // 1000 * 1000).isoformat()


def _lossy(run: NewRun) -> str:
    """v1 knows only passed or not."""
    return "" if run.outcome in ("pass", "fail") else f"TofuPilot v1 has no outcome {run.outcome}: kept as not passed."
