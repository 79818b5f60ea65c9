"""Uploaded reports to runs: which importer reads what, and v2's import, which takes the same content only once."""

from __future__ import annotations

import struct
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Run, Station
from testlab_sim.tofupilot import files
from testlab_sim.tofupilot.intake import Draft, Unreadable, record
from testlab_sim.tofupilot.service import Refusal, api, body_of, caller
from testlab_sim.world import Person, World

Reader = Callable[[History, bytes, float], list[Draft]]


@api.route("POST", "/api/v2/imports/structured")
async def import_structured(request: Request, world: World) -> Response:
    """Import uploaded reports; each item tells its own success or error."""
    from testlab_sim.tofupilot.run_body import ImportBody, parse

    body = parse(ImportBody, await body_of(request))
    who = caller(request, world)
    contents = [files.received(world, item.upload_id).data for item in body.items]
    results: list[dict[str, Any]] = []
    for item, data in zip(body.items, contents, strict=True):
        told = _import(world, who, item.importer, data, allow_duplicate=bool(body.allow_duplicate))
        results.append({"upload_id": item.upload_id} | told)
    return JSONResponse({"results": results})


def _import(
    world: World, who: Person | Station, importer: str, data: bytes, *, allow_duplicate: bool
) -> dict[str, Any]:
    history = world.production
    digest = f"{importer}:{sha256(data).hexdigest()}"
    known = None if allow_duplicate else history.imported.get(digest)
    try:
        ids = known or [run.id for run in import_report(history, importer, data, who, world.clock.now())]
    except Refusal as refusal:
        return {"success": False, "id": None, "ids": None, "error": refusal.message}
    history.imported[digest] = ids
    told = {"success": True, "id": ids[0], "ids": ids, "already_imported": known is not None}
    return told | {"warnings": [], "error": None}


def import_report(
    history: History, importer: str, data: bytes, who: Person | Station, now: float, *, keep_files: bool = True
) -> list[Run]:
    """The runs made from a report, with or without the files inside it; a `Refusal` with 422 if it cannot be read."""
    reader = _reader(importer)
    try:
        drafts = reader(history, data, now)
    except Unreadable as error:
        raise Refusal(422, f"{importer} import failed: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        raise Refusal(422, f"{importer} import failed: damaged report ({error})") from None
    if not keep_files:
        for draft in drafts:
            history.uploads.drop(draft.detail.attachments)
            draft.detail.attachments = []
    return [record(history, draft, who, now) for draft in drafts]


def _reader(importer: str) -> Reader:
    from testlab_sim.tofupilot import openhtf, reports

    readers: dict[str, Reader] = {
        "OPENHTF": openhtf.read,
        "WATS": reports.read_wats,
        "WSXF": reports.read_wats,
        "ATML": reports.read_atml,
        "TESTSTAND": reports.read_atml,
        "STDF": reports.read_stdf,
        "ATDF": reports.read_atdf,
    }
    if importer not in readers:
        raise Refusal(400, f"Unknown importer {importer}")
    return readers[importer]
