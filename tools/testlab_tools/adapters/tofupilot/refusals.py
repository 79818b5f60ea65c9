"""Why TofuPilot refused a run with 404 or 409: which of the things it names is not there, or stands against it.

The documents name no cause; a v2 error may name the field (`issues[].path`). What it does not say is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto

from testlab_tools.adapters.tofupilot.client import IDENTIFIER, fields_in
from testlab_tools.errors import BadInput, Conflict, LabError, NotFound
from testlab_tools.fanout import gather_all
from testlab_tools.http import Reply
from testlab_tools.models.requests import NewRun

CULPRITS = frozenset({404, 409})
MAX_ASKED = 20
"""Sub-units that are asked for at most."""
_PROCEDURE_NEXT = "Give the id it has in TofuPilot, such as FVT1."


class Place(Enum):
    """What a service tells of a sub-unit."""

    FREE = auto()
    ELSEWHERE = auto()
    UNKNOWN = auto()
    UNTOLD = auto()


PlaceOf = Callable[[str], Awaitable[Place]]


async def refusal(service: str, reply: Reply, run: NewRun, place_of: PlaceOf, *, procedure_known: bool) -> LabError:
    """The error behind a 404 or 409 of the service's own, naming what it is about as far as that can be found out."""
    missing = reply.status == 404
    fields = fields_in(reply)
    if missing and any(field.startswith("procedure_id") for field in fields):
        return NotFound(f"{service} has no such procedure", "", _PROCEDURE_NEXT)
    wanted = Place.UNKNOWN if missing else Place.ELSEWHERE
    found = await _places(run, place_of)
    if culprits := [serial for serial, place in found.items() if place is wanted]:
        named = ", ".join(serial if IDENTIFIER.fullmatch(serial) else "one of sub_units" for serial in culprits)
        if missing:
            return NotFound(
                f"{service} has no such sub-unit: {named}", "", "Record its own run first, or leave it out."
            )
        return Conflict(f"{service} has a sub-unit in another unit: {named}", "", "get_unit shows what it is part of.")
    if fields:
        named = ", ".join(fields)
        if missing:
            return NotFound(f"{service} does not know what the run names in {named}", "", "Correct it.")
        return Conflict(f"{service} did not take the run: {named} stands against what is there", "", "Correct it.")
    if not missing:
        return Conflict(
            f"{service} did not take the run (HTTP 409): something there stands against it, and it does not say what",
            "",
            "It may be there already, or a sub-unit be part of another unit: list_runs(unit=…) and get_unit tell.",
        )
    if not procedure_known and Place.UNTOLD not in found.values():
        return NotFound(f"{service} has no such procedure", "", _PROCEDURE_NEXT)
    return NotFound(
        f"{service} does not know something that the run names (HTTP 404), and does not say what",
        "",
        "Check procedure_id, sub_units and part_number.",
    )


async def _places(run: NewRun, place_of: PlaceOf) -> dict[str, Place]:
    """Where each sub-unit is, as far as the service tells."""

    async def asked(serial: str) -> Place:
        try:
            return await place_of(serial)
        except BadInput:
            return Place.UNKNOWN
        except LabError:
            return Place.UNTOLD

    serials = run.sub_units[:MAX_ASKED]
    found = dict(zip(serials, await gather_all(*(asked(serial) for serial in serials)), strict=True))
    return found | dict.fromkeys(run.sub_units[MAX_ASKED:], Place.UNTOLD)
