"""Recording with API v1: a run, a report to be read, files beside them.

What API v1 is sent to record a run: `POST /v1/runs`, "Create a run".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import unquote

from testlab_tools.adapters.tofupilot.client import FOUND, SENT, SENT_MEASUREMENT, record, same_moment, stamp
from testlab_tools.adapters.tofupilot.recorder import Recorder, doubtful, media_type
from testlab_tools.adapters.tofupilot.refusals import CULPRITS, Place, foresee_v1, refusal
from testlab_tools.adapters.tofupilot.v1_models import Key, V1Created, V1File, V1Run, is_of, newest
from testlab_tools.adapters.tofupilot.v1_runs import V1Runs, quote_id, split, told_id
from testlab_tools.capabilities import Foreseen, Importing, Keeping
from testlab_tools.errors import AnswerLost, LabError
from testlab_tools.http import clock_skew
from testlab_tools.http.errors import reason_in
from testlab_tools.http.response import decode
from testlab_tools.models.lab import CreatedRun, StoredRun
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun

LOOK_SECONDS = 3.0
"""How long a run that is there is looked up only for what it is called."""


def run_body(run: NewRun) -> dict[str, Any]:
    """`POST /v1/runs`: optional fields are left out, not sent as null."""
    unit = {
        "serial_number": run.serial_number,
        "part_number": run.part_number,
        "part_name": run.part_name,
        "revision": run.revision,
        "batch_number": run.batch_number,
    }
    optional = {
        "procedure_name": run.procedure_name,
        "procedure_version": run.procedure_version,
        "sub_units": [{"serial_number": serial} for serial in run.sub_units],
        "report_variables": ({"notes": run.notes} if run.notes else {}) | dict(run.variables),
        "phases": [_phase(phase) for phase in run.phases],
    }
    return {
        "procedure_id": run.procedure_id,
        "unit_under_test": {key: value for key, value in unit.items() if value},
        "run_passed": run.outcome == "pass",
        "started_at": stamp(run.started_at.astimezone(UTC)),
        "duration": f"PT{(run.ended_at - run.started_at).total_seconds():.3f}S",
        "client": "testlab-mcp",
        **{key: value for key, value in optional.items() if value},
    }


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


class V1Recording(V1Runs, Recorder):
    """`POST /v1/runs`, `/v1/import` and the uploads they need."""

    async def create_run(self, run: NewRun) -> CreatedRun:
        send = partial(self.change, "POST", "/api/v1/runs", V1Created, body=run_body(run))
        sent = await record(send, partial(self._recorded, run), has_ref=False)
        if isinstance(sent, str):
            return self._created(run, sent, FOUND)
        if sent.status in CULPRITS:
            refused = await refusal(self.name, sent, run, self._place_of, procedure_known=False)
            raise refused.saying(reason_in(sent))
        self.check(sent, "run", "Check serial_number, part_number and the phases.", act="record")
        return self._created(run, await self._key_of(run, decode(sent, V1Created).key))

    async def find_created(self, run: NewRun) -> CreatedRun | None:
        found = await self._recorded(run)
        return self._created(run, found) if found else None

    async def read_stored(self, run_id: str) -> StoredRun:
        """Whether the unit is known shows in its other runs; that it has none does not say that it is new."""
        quoted_serial, text = split(run_id)
        serial, key = unquote(quoted_serial), Key.parse(text)
        rows = await self.rows(serial) or []
        run, row = self.find_row(serial, key, rows)
        told = row.unit.revision if row.unit else None
        return StoredRun(
            unit=serial,
            unit_is="known" if len(rows) > 1 else "not told",
            part=told.component.part_number if told and told.component else "",
            part_revision=told.identifier if told else "",
            procedure=run.test,
            outcome=run.outcome,
            started_at=run.started_at,
            duration_s=run.duration_s,
            reason=run.reason,
        )

    def foresee_losses(self, run: NewRun) -> list[str]:
        return [lossy] if (lossy := _lossy(run)) else []

    async def check_run(self, run: NewRun) -> Foreseen:
        reply, _ = await self.list_rows(run.serial_number)
        return await foresee_v1(self.name, run, self._place_of, clock_skew(reply.headers))

    async def attach(self, run_id: str, name: str, data: bytes, keeping: Keeping | None = None) -> None:
        key = told_id(self.name, run_id, "no file can be kept with it")
        body = {"upload_id": await self._upload(name, data), "run_id": key}
        if keeping is not None:
            await keeping()
        try:
            reply = await self.change("POST", "/api/v1/uploads/sync", None, body=body)
        except AnswerLost as lost:
            if not await self.has_file(run_id, body["upload_id"]):
                raise doubtful(lost) from None
            return
        self.check(reply, "run", "The file was not kept.", act="keep a file with")

    async def files_of(self, run_id: str) -> list[V1File] | None:
        """The document's list tells no files; what client 1.12.1 types does."""
        if "/" not in run_id:
            return None
        quoted_serial, text = split(run_id)
        found = Key.parse(text).among(await self.rows(unquote(quoted_serial)) or ())
        return found[0].attachments if len(found) == 1 else None

    async def import_file(
        self, name: str, data: bytes, importer: str, serial_number: str = "", importing: Importing | None = None
    ) -> list[str]:
        """v1 tells one id at most, and not whose run it is: the id alone can be deleted but not found again."""
        upload = await self._upload(name, data)
        before = await self._listed_now(serial_number)
        if importing is not None:
            await importing()
        body = {"upload_id": upload, "importer": importer, "client": "testlab-mcp"}
        reply = await self.change("POST", "/api/v1/import", V1Created, body=body)
        self.check(reply, "report", f"Is it one that {importer} reads, and whole?", act="import")
        told = decode(reply, V1Created).key
        if not serial_number:
            return [told] if told else []
        known = {str(Key.of(row)) for row in before or ()}
        after = await self._listed_now(serial_number) if before is not None else None
        fresh = [row for row in after or () if str(Key.of(row)) not in known]
        nameless = len(fresh) == 1 and not fresh[0].id
        key = str(Key.of(fresh[0], told)) if nameless else told
        return [f"{quote_id(serial_number)}/{key}"] if key else []

    async def find_imported(
        self, earlier: Sequence[str], serial_number: str, started_at: datetime | None
    ) -> list[str] | None:
        """v1 imports the same content again. It shows runs only of a unit, where they are known by id or start."""
        keys = [Key.parse(run_id.rpartition("/")[2]) for run_id in earlier]
        if not serial_number or not (keys or started_at):
            return None
        rows = await self.rows(serial_number) or []
        if started_at is None and not all(row.id or any(key.start for key in keys) for row in rows):
            return None
        found = [row for key in keys for row in key.among(rows)]
        found += [row for row in rows if started_at is not None and same_moment(row.started_at, started_at)]
        return [f"{quote_id(serial_number)}/{Key.of(row)}" for row in found[:1]]

    async def _upload(self, name: str, data: bytes) -> str:
        """`sizeBytes` binds the URL to that size, and is left out when 0 (client 2.26.1)."""
        announced = {"name": name, "mimeType": media_type(name)} | ({"sizeBytes": len(data)} if data else {})
        return await self.upload("/api/v1/uploads/initialize", announced, name, data)

    async def _recorded(self, run: NewRun) -> str:
        """The key of the run as it stands in the list of its unit's runs; empty when it does not."""
        row = newest(row for row in await self.rows(run.serial_number) or () if is_of(row, run))
        return str(Key.of(row)) if row else ""

    async def _key_of(self, run: NewRun, told: str) -> str:
        """What the run just recorded is called in the list of its unit's runs, which need not tell the id that
        recording it told; where the list cannot be had now, what finds it there in either case."""
        rows = await self._listed_now(run.serial_number)
        row = newest(row for row in rows or () if not row.id and is_of(row, run))
        if told and rows and (row is None or any(row.id == told for row in rows)):
            return told
        return str(Key.of(row, told) if row else Key.sent(run, told))

    async def _listed_now(self, serial: str) -> list[V1Run] | None:
        """The unit's runs; None where they are not told at once."""
        if not serial:
            return None
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self.rows(serial, retry=False) or []
        except (LabError, TimeoutError):
            return None

    async def _place_of(self, serial: str) -> Place:
        """v1 knows units by their runs, and does not tell what they are part of."""
        rows = await self.rows(serial)
        return Place.UNKNOWN if rows is None else Place.FREE if rows else Place.UNTOLD

    def _created(self, run: NewRun, key: str, note: str = "") -> CreatedRun:
        run_id = f"{quote_id(run.serial_number)}/{key}"
        return self.created(run, run_id, run.procedure_id, f"{note} {_lossy(run)}".strip())


def _lossy(run: NewRun) -> str:
    """v1 knows only passed or not."""
    return "" if run.outcome in ("pass", "fail") else f"TofuPilot v1 has no outcome {run.outcome}: kept as not passed."
