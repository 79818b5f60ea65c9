"""v2 batches: production lots of units."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Batch, Unit
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.service import Refusal, operation, reply
from testlab_sim.tofupilot.shapes import part_of, stamp
from testlab_sim.world import World

_BATCH = "/api/v2/batches/{number}"
_NOBODY: dict[str, Any] = {"created_by_user": None, "created_by_station": None}


@operation("GET", "/api/v2/batches")
async def list_batches(request: Request, world: World) -> Response:
    """List batches with how many units each has."""
    query, units = Query(request.query_params), _units_by_batch(world.production)
    found = [b for b in world.production.batches.values() if _matches(query, b, units.get(b, []))]
    by = query.one_of("sort_by", ("created_at", "number"))
    descending = query.one_of("sort_order", ("desc", "asc")) == "desc"
    found.sort(key=lambda b: (b.created if by == "created_at" else 0.0, b.name), reverse=descending)
    return page(query, found, lambda b: _head(b) | {"unit_count": len(units.get(b, []))} | _NOBODY)


def _units_by_batch(history: History) -> dict[Batch, list[Unit]]:
    units: dict[Batch, list[Unit]] = {}
    for unit in history.units.values():
        if unit.batch is not None:
            units.setdefault(unit.batch, []).append(unit)
    return units


def _matches(query: Query, batch: Batch, units: list[Unit]) -> bool:
    ids, numbers = query.many("ids"), query.many("numbers")
    parts, revisions = query.many("part_numbers"), query.many("revision_numbers")
    after, before = query.instant("created_after") or 0.0, query.instant("created_before") or float("inf")
    return (
        (not ids or batch.id in ids)
        and (not numbers or batch.name.lower() in numbers)
        and (not parts or any(unit.part.part_number.lower() in parts for unit in units))
        and (not revisions or any(unit.revision.name.lower() in revisions for unit in units))
        and after <= batch.created <= before
        and query.text("search_query").casefold() in batch.name.casefold()
    )


def _head(batch: Batch) -> dict[str, Any]:
    return {"id": batch.id, "number": batch.name, "created_at": stamp(batch.created)}


@operation("GET", _BATCH)
async def get_batch(request: Request, world: World) -> Response:
    """Get a batch with its units."""
    batch = _find(request, world)
    units = [
        {
            "id": unit.id,
            "serial_number": unit.serial,
            "created_at": stamp(unit.created),
            "part": part_of(unit.part, unit.revision),
        }
        for unit in _units_by_batch(world.production).get(batch, [])
    ]
    return reply(_head(batch) | {"units": units} | _NOBODY)


def _find(request: Request, world: World) -> Batch:
    number = request.path_params["number"]
    batch = world.production.batches.get(number.upper())
    if batch is None:
        raise Refusal(404, f"Batch {number} not found")
    return batch
