"""What TofuPilot would say to a run, asked without recording it, and why it refused one with 404 or 409.

The documents name no cause; a v2 error may name the field (`issues[].path`). What it does not say is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import TypeVar

from testlab_tools.adapters.tofupilot.client import IDENTIFIER, fields_in, segment
from testlab_tools.adapters.tofupilot.models import PartEntry, UnitWhole
from testlab_tools.adapters.tofupilot.v2_runs import V2Api
from testlab_tools.capabilities import Foreseen
from testlab_tools.errors import BadInput, Conflict, LabError, NotFound, ServiceError
from testlab_tools.fanout import gather_all
from testlab_tools.http import Reply, clock_skew
from testlab_tools.http.response import decode
from testlab_tools.models.requests import NewRun
from testlab_tools.untrusted import quote

T = TypeVar("T")
CULPRITS = frozenset({404, 409})
MAX_ASKED = 20
"""Sub-units that are asked for at most."""
AHEAD = timedelta(minutes=1)
"""Of the service's clock: a start further on is in the future."""
V1_UNASKED = [
    "whether it knows the procedure: API v1 does not list them",
    "whether it knows the part, and needs a revision: API v1 does not list them",
]


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
    hint = "Give the id it has in TofuPilot, such as FVT1."
    no_procedure = NotFound(f"{service} has no such procedure: {quote(run.procedure_id, 80)}", "", hint)
    if missing and any(field.startswith("procedure_id") for field in fields):
        return no_procedure
    wanted = Place.UNKNOWN if missing else Place.ELSEWHERE
    found = await _places(run, place_of)
    if culprits := [serial for serial, place in found.items() if place is wanted]:
        named = ", ".join(map(_named, culprits))
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
    told = Place.UNTOLD not in found.values() and len(run.sub_units) <= MAX_ASKED
    if told and not procedure_known:
        return no_procedure
    return NotFound(
        f"{service} does not know something that the run names (HTTP 404), and does not say what",
        "",
        "Check procedure_id, sub_units and part_number.",
    )


async def _places(run: NewRun, place_of: PlaceOf) -> dict[str, Place]:
    """Where each of the first MAX_ASKED sub-units is, as far as the service tells."""

    async def asked(serial: str) -> Place:
        try:
            return await place_of(serial)
        except BadInput:
            return Place.UNKNOWN
        except LabError:
            return Place.UNTOLD

    serials = run.sub_units[:MAX_ASKED]
    return dict(zip(serials, await gather_all(*(asked(serial) for serial in serials)), strict=True))


def _named(serial: str) -> str:
    return serial if IDENTIFIER.fullmatch(serial) else "one of sub_units"


async def foresee_v1(service: str, run: NewRun, place_of: PlaceOf, skew_s: float | None) -> Foreseen:
    """Its sub-units and start: the rest v1 does not tell."""
    found = Findings(service)
    await found.check_sub_units(run, place_of)
    found.check_start(run, skew_s)
    return Foreseen(found.refused, found.unchecked + V1_UNASKED)


async def foresee_v2(api: V2Api, run: NewRun, place_of: PlaceOf) -> Foreseen:
    """Its procedure, part, revision, sub-units and start, as `GET /v2/procedures`, `/parts` and `/units` tell."""
    found = Findings(api.name)

    async def unit() -> UnitWhole | None:
        try:
            return await api.unit_of(run.serial_number)
        except NotFound:
            return None

    async def clock() -> float | None:
        return clock_skew((await api.client.get("/api/v2/whoami")).headers)

    async def part() -> None:
        await _check_part(api, run, await found.ask(unit(), "whether it knows the unit"), found)

    async def start() -> None:
        found.check_start(run, await found.ask(clock(), "what time it is there"))

    procedure = found.ask(api.procedure(run), "whether it knows the procedure")
    await gather_all(procedure, part(), start(), found.check_sub_units(run, place_of))
    return Foreseen(found.refused, found.unchecked)


class Findings:
    """What was found out so far: each question is asked whatever became of the others."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.refused: list[str] = []
        self.unchecked: list[str] = []

    async def ask(self, question: Awaitable[T], what: str) -> T | None:
        """The answer; None, and noted, where there was none. A NotFound or BadInput would be the run's refusal."""
        try:
            return await question
        except (NotFound, BadInput) as error:
            self.refused.append(str(error))
        except LabError as error:
            why = error.what if isinstance(error, ServiceError) else "it did not say"
            self.unchecked.append(f"{what}: {why}")
        return None

    def check_start(self, run: NewRun, skew_s: float | None) -> None:
        """Whether it lies in the future by the service's clock, or by ours where it tells no time."""
        now = datetime.now(UTC) + timedelta(seconds=skew_s or 0)
        if run.started_at > now + AHEAD:
            self.refused.append(f"Its start is in the future by the clock of {self._service}. Correct started_at.")

    async def check_sub_units(self, run: NewRun, place_of: PlaceOf) -> None:
        """Whether each is there, and free."""
        for serial, place in (await _places(run, place_of)).items():
            named = _named(serial)
            if place is Place.UNKNOWN:
                self.refused.append(f"{self._service} has no such sub-unit: {named}. Record its own run first.")
            elif place is Place.ELSEWHERE:
                self.refused.append(f"The sub-unit {named} is part of another unit. get_unit shows of which.")
            elif place is Place.UNTOLD:
                self.unchecked.append(f"whether the sub-unit {named} is there and free")
        if len(run.sub_units) > MAX_ASKED:
            self.unchecked.append(f"sub-units after the first {MAX_ASKED}")

    def check_revision(self, run: NewRun, part: PartEntry) -> None:
        """Whether the part has it."""
        if run.revision.casefold() not in (revision.number.casefold() for revision in part.revisions):
            self.unchecked.append(
                f"revision {run.revision} of the part is not there: whether it would be made is not told"
            )


async def _check_part(api: V2Api, run: NewRun, known: UnitWhole | None, found: Findings) -> None:
    """v1's document has a revision "required if multiple revisions exist", and a part created where there is none; v2's
    says neither."""
    if not run.part_number:
        if known is None:
            found.unchecked.append("whether it takes a unit that may be new without part_number")
        return
    if known is not None and known.part and known.part.number.casefold() == run.part_number.casefold():
        if run.revision and (part := await found.ask(_find_part(api, run), "whether it knows the revision")):
            found.check_revision(run, part[0])
        return
    part = await found.ask(_find_part(api, run), "whether it knows the part")
    if part is None:
        return
    if not part:
        found.unchecked.append(f"part {run.part_number} is not there: whether it would be made is not told")
    elif run.revision:
        found.check_revision(run, part[0])
    elif len(part[0].revisions) > 1:
        names = ", ".join(r.number for r in part[0].revisions[:10] if IDENTIFIER.fullmatch(r.number))
        found.refused.append(f"Part {run.part_number} has several revisions: give revision, one of {names}.")


async def _find_part(api: V2Api, run: NewRun) -> list[PartEntry]:
    """The part, `GET /v2/parts/{number}`; none when it is not there."""
    try:
        reply = api.check(await api.client.get(f"/api/v2/parts/{segment(run.part_number)}"), "part")
    except NotFound:
        return []
    return [decode(reply, PartEntry)]
