"""v2 imports: uploaded reports to runs, the same content only once."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.records import Station
from testlab_sim.tofupilot import files
from testlab_sim.tofupilot.importers import import_report
from testlab_sim.tofupilot.service import Refusal, body_of, caller, operation, reply
from testlab_sim.world import Person, World


@operation("POST", "/api/v2/imports/structured")
async def import_structured(request: Request, world: World) -> Response:
    """Import uploaded reports; each item tells its own success or error."""
    from testlab_sim.tofupilot.bodies import ImportBody, parse

    body = parse(ImportBody, await body_of(request))
    who = caller(request, world)
    assert who is not None
    contents = [files.content(world, item.upload_id) for item in body.items]
    duplicate = bool(body.allow_duplicate)
    results = [
        _import(world, who, item.upload_id, item.importer, data, allow_duplicate=duplicate)
        for item, data in zip(body.items, contents, strict=True)
    ]
    return reply({"results": results})


def _import(
    world: World, who: Person | Station, upload_id: str, importer: str, data: bytes, *, allow_duplicate: bool
) -> dict[str, Any]:
    history = world.production
    digest = f"{importer}:{sha256(data).hexdigest()}"
    if not allow_duplicate and (known := history.imported.get(digest)):
        return _result(upload_id, known, already=True)
    try:
        runs = import_report(history, importer, data, who, world.clock.now())
    except Refusal as refusal:
        return {"upload_id": upload_id, "success": False, "id": None, "ids": None, "error": refusal.message}
    ids = [run.id for run in runs]
    history.imported[digest] = ids
    return _result(upload_id, ids, already=False)


def _result(upload_id: str, ids: list[str], *, already: bool) -> dict[str, Any]:
    return {
        "upload_id": upload_id,
        "success": True,
        "id": ids[0],
        "ids": ids,
        "already_imported": already,
        "warnings": [],
        "error": None,
    }
