"""Asking every service for a unit's story, for those of its sub-units, and for others of their parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime

from testlab_tools.capabilities import Runs, UnitArchive, UnitRegistry
from testlab_tools.errors import Unsupported
from testlab_tools.models import Run, Unit
from testlab_tools.passport.asking import Asking
from testlab_tools.passport.doubles import once
from testlab_tools.passport.others import Others, Stretch, whole
from testlab_tools.passport.story import Story
from testlab_tools.questions import RunQuery

MOST_RUNS = 500
"""How many runs of a unit are read from each service."""

MOST_UNITS = 20
"""How many units are looked at, the one asked for among them."""

MOST_PARTS = 4
"""How many parts are looked up among other units."""

SIDE = 120
"""How many runs of a part are read from each service, before and after."""


class Collector:
    """Reads stories from archives, within one call's bounds."""

    def __init__(self, archives: Sequence[UnitArchive], asking: Asking) -> None:
        self._archives = archives
        self._asking = asking
        self._names = [archive.name for archive in archives]

    async def story(self, serial: str) -> Story:
        """A unit as all services tell it, under the spelling asked for and those that registries give it."""
        records, told = await asyncio.gather(self._records(serial), self._runs(serial))
        story = Story(records[0].serial_number if records else serial, [], records)
        spellings = dict.fromkeys(record.serial_number for record in records)
        told += [one for other in spellings if other != serial for one in await self._runs(other)]
        found: dict[str, Run] = {}
        for name, runs in told:
            found.update((run.run_id.casefold(), run) for run in runs.runs)
            story.cut |= {name} if runs.more else set()
        story.runs = once([run.model_copy(update={"unit": run.unit or serial}) for run in found.values()], self._names)
        story.doubles = len(found) - len(story.runs)
        return story

    async def sub_units(self, unit: Story) -> tuple[list[Story], bool]:
        """The stories of all that is built into a unit, outermost first, and whether some are left out.

        A unit that is said to be inside itself is looked at once.
        """
        seen, found, rank = {unit.serial.casefold()}, list[Story](), [unit]
        while rank:
            inside = [name for story in rank for record in story.records for name in record.sub_units]
            spelled = {name.casefold(): name for name in reversed(inside) if name.casefold() not in seen}
            fresh = list(reversed(spelled.values()))
            room = MOST_UNITS - 1 - len(found)
            rank = list(await asyncio.gather(*(self.story(name) for name in fresh[:room])))
            seen |= {name.casefold() for name in fresh}
            found += rank
            if len(fresh) > room:
                return found, True
        return found, False

    async def others(self, stories: Sequence[Story]) -> dict[str, Others]:
        """Other units of the stories' parts, by part in lower case: those around the first unit of each."""
        moments = {run.started_at for run in stories[0].runs[:1]}
        firsts: dict[str, tuple[str, datetime]] = {}
        for story in stories:
            began = next((run.started_at for run in story.runs), next(iter(moments), None))
            if story.part and began is not None:
                firsts.setdefault(story.part.casefold(), (story.part, began))
        beside = [story.serial for story in stories]
        asked = list(firsts.items())[:MOST_PARTS]
        found = await asyncio.gather(*(self._others(part, began, beside) for _, (part, began) in asked))
        return dict(zip((key for key, _ in asked), found, strict=True))

    async def _records(self, serial: str) -> list[Unit]:
        registries = [archive for archive in self._archives if isinstance(archive, UnitRegistry)]
        asked = [r for r in registries if self._asking.still(r)]
        looks = await asyncio.gather(*(self._asking.record(r, r.get_unit(serial)) for r in asked))
        return [look for look in looks if look is not None]

    async def _runs(self, serial: str) -> list[tuple[str, Runs]]:
        asked = [archive for archive in self._archives if self._asking.still(archive)]
        query = RunQuery(unit=serial)
        answers = await asyncio.gather(*(self._asking.answer(a, a.list_runs(query, MOST_RUNS)) for a in asked))
        return [(a.name, runs) for a, runs in zip(asked, answers, strict=True) if runs is not None]

    async def _others(self, part: str, began: datetime, beside: Iterable[str]) -> Others:
        asked = [archive for archive in self._archives if self._asking.still(archive)]
        stretches = await asyncio.gather(*(self._stretch(archive, part, began) for archive in asked))
        others = whole((s for s in stretches if s), beside, self._names, datetime.now(UTC))
        others.uncompared = [a.name for a, s in zip(asked, stretches, strict=True) if s is None]
        return others

    async def _stretch(self, archive: UnitArchive, part: str, began: datetime) -> Stretch | None:
        """A part's runs on both sides of a moment; None when the service cannot tell."""
        sides = (RunQuery(part=part, until=began), RunQuery(part=part, since=began, oldest_first=True))
        before, after = await asyncio.gather(
            *(self._asking.answer(archive, _if_able(archive.list_runs(side, SIDE))) for side in sides)
        )
        if before is None or after is None:
            return None
        both = {run.run_id: run for run in (*before.runs, *after.runs)}
        return Stretch(
            list(both.values()),
            before.runs[-1].started_at if before.more and before.runs else None,
            after.runs[-1].started_at if after.more and after.runs else None,
        )


async def _if_able(question: Awaitable[Runs]) -> Runs | None:
    try:
        return await question
    except Unsupported:
        return None
