"""What TofuPilot would say to a run, asked without recording it: for a dry run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from testlab_tools.adapters.tofupilot.client import IDENTIFIER, segment
from testlab_tools.adapters.tofupilot.models import PartEntry, UnitWhole
from testlab_tools.adapters.tofupilot.refusals import MAX_ASKED, Place, PlaceOf
from testlab_tools.adapters.tofupilot.v2_client import V2Api
from testlab_tools.capabilities import Foreseen
from testlab_tools.errors import BadInput, LabError, NotFound, ServiceError
from testlab_tools.fanout import gather_all
from testlab_tools.http import clock_skew
from testlab_tools.http.response import decode
from testlab_tools.models.requests import NewRun

T = TypeVar("T")
AHEAD = timedelta(minutes=1)
"""Of the service's clock: a start further on is in the future."""
V1_UNASKED = [
    "whether it knows the procedure: API v1 does not list them",
    "whether it knows the part, and needs a revision: API v1 does not list them",
]


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

    def start(self, run: NewRun, skew_s: float | None) -> None:
        """Whether it lies in the future by the service's clock, or by ours where it tells no time."""
        now = datetime.now(UTC) + timedelta(seconds=skew_s or 0)
        if run.started_at > now + AHEAD:
            self.refused.append(f"Its start is in the future by the clock of {self._service}. Correct started_at.")

    async def sub_units(self, run: NewRun, place_of: PlaceOf) -> None:
        """Whether each is there, and free."""

        async def asked(serial: str) -> None:
            named = serial if IDENTIFIER.fullmatch(serial) else "one of sub_units"
            try:
                place = await place_of(serial)
            except BadInput:
                place = Place.UNKNOWN
            except LabError:
                place = Place.UNTOLD
            if place is Place.UNKNOWN:
                self.refused.append(f"{self._service} has no such sub-unit: {named}. Record its own run first.")
            elif place is Place.ELSEWHERE:
                self.refused.append(f"The sub-unit {named} is part of another unit. get_unit shows of which.")
            elif place is Place.UNTOLD:
                self.unchecked.append(f"whether the sub-unit {named} is there and free")

        await gather_all(*(asked(serial) for serial in run.sub_units[:MAX_ASKED]))
        if len(run.sub_units) > MAX_ASKED:
            self.unchecked.append(f"sub-units after the first {MAX_ASKED}")

    def foresee(self) -> Foreseen:
        return Foreseen(self.refused, self.unchecked)


async def foresee_v2(api: V2Api, run: NewRun, place_of: Callable[[str], Awaitable[Place]]) -> Foreseen:
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
        await _part(api, run, await found.ask(unit(), "whether it knows the unit"), found)

    async def start() -> None:
        found.start(run, await found.ask(clock(), "what time it is there"))

    procedure = found.ask(api.procedure(run), "whether it knows the procedure")
    await gather_all(procedure, part(), start(), found.sub_units(run, place_of))
    return found.foresee()


async def foresee_v1(service: str, run: NewRun, place_of: PlaceOf, skew_s: float | None) -> Foreseen:
    """Its sub-units and start: the rest v1 does not tell."""
    found = Findings(service)
    await found.sub_units(run, place_of)
    found.start(run, skew_s)
    found.unchecked += V1_UNASKED
    return found.foresee()


async def _part(api: V2Api, run: NewRun, known: UnitWhole | None, found: Findings) -> None:
    """v1's document has a revision "required if multiple revisions exist", and a part created where there is none; v2's
    says neither."""
    if not run.part_number:
        if known is None:
            found.unchecked.append("whether it takes a unit that may be new without part_number")
        return
    if known is not None and known.part and known.part.number.casefold() == run.part_number.casefold():
        if run.revision:
            await _revision(api, run, found)
        return
    part = await found.ask(_entry(api, run.part_number), "whether it knows the part")
    if part is None:
        return
    if not part:
        found.unchecked.append(f"part {run.part_number} is not there: whether it would be made is not told")
    elif run.revision:
        _known_revision(part[0], run, found)
    elif len(part[0].revisions) > 1:
        names = ", ".join(r.number for r in part[0].revisions[:10] if IDENTIFIER.fullmatch(r.number))
        found.refused.append(f"Part {run.part_number} has several revisions: give revision, one of {names}.")


async def _revision(api: V2Api, run: NewRun, found: Findings) -> None:
    part = await found.ask(_entry(api, run.part_number), "whether it knows the revision")
    if part:
        _known_revision(part[0], run, found)


def _known_revision(part: PartEntry, run: NewRun, found: Findings) -> None:
    if run.revision.casefold() not in (revision.number.casefold() for revision in part.revisions):
        found.unchecked.append(
            f"revision {run.revision} of the part is not there: whether it would be made is not told"
        )


async def _entry(api: V2Api, number: str) -> list[PartEntry]:
    """The part, `GET /v2/parts/{number}`; none when it is not there."""
    try:
        reply: Any = api.check(await api.client.get(f"/api/v2/parts/{segment(number)}"), "part")
    except NotFound:
        return []
    return [decode(reply, PartEntry)]
