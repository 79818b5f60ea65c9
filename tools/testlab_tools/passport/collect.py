"""What a passport asks of the services: the runs of a unit, of its sub-units, and of other units of their parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from testlab_tools.capabilities import RunArchive, Runs, Service, UnitArchive, UnitRegistry
from testlab_tools.deadline import Deadline
from testlab_tools.errors import BadInput, LabError, NotFound, Unsupported
from testlab_tools.fanout import ask_all, gather_all, most_telling
from testlab_tools.models.lab import Run, Unit
from testlab_tools.models.requests import RunQuery
from testlab_tools.passport.histories import PassportInput, PeerUnits, TimeSpan, UnitHistory, deduplicate, find_peers

S = TypeVar("S", bound=Service)
T = TypeVar("T")

QUESTION_SHARE = 0.45
"""Of a call's time, for one question: where a service hangs, the others are still asked what comes after."""

MAX_RUNS = 500
"""How many runs of a unit are read from each service."""

MAX_UNITS = 20
"""How many units are looked at, the one asked for among them."""

MAX_PARTS = 4
"""How many parts are looked up among other units."""

MAX_PEER_RUNS = 120
"""How many runs of a part are read from each service, before and after the unit's first."""


HISTORY_SHARE = 0.2
"""Of a call's time, for bringing history up to date before peers are sought in it."""

UseHistory = Callable[[Sequence[RunArchive], datetime, float], Awaitable[Sequence[RunArchive]]]
"""Gives, in place of services whose runs since a time are held, what answers from these; within so many seconds."""


async def collect(
    archives: Sequence[UnitArchive],
    serial_number: str,
    deadline: Deadline,
    unasked: Sequence[str],
    use_history: UseHistory | None = None,
) -> PassportInput:
    """All that the services know of a unit, of its sub-units, and of their peers.

    The runs of the unit decide whether it is shipped: the services are always asked for them.

    Raises:
        NotFound: every service answered, and none knows the unit.
        LabError: no service answered; the most telling error.
    """
    collector = _Collector(archives, deadline, use_history)
    unit = await collector.collect_unit(serial_number)
    failed = collector.failed
    if not unit.runs and not unit.records:
        if len(failed) == len(archives):
            raise most_telling(failed.values())
        if not failed:
            next_step = "It must be exact; list_runs shows units."
            raise NotFound("No service knows a unit of that serial number", "", next_step).naming(serial_number)
    sub_units, unread = await collector.collect_sub_units(unit)
    peers = await collector.collect_peers([unit, *sub_units])
    return PassportInput(unit, sub_units, peers, failed, list(unasked), unread)


class _Collector:
    """Reads the histories of units, in one call. `failed` holds the errors of services, which are not asked again."""

    def __init__(self, archives: Sequence[UnitArchive], deadline: Deadline, use_history: UseHistory | None) -> None:
        self.failed: dict[str, LabError] = {}
        self._archives = archives
        self._deadline = deadline
        self._use_history = use_history
        self._names = [archive.name for archive in archives]

    async def collect_unit(self, serial: str) -> UnitHistory:
        """A unit as all services know it, under the spelling asked for and those that registries give it."""
        records, runs = await gather_all(self._get_records(serial), self._list_runs(serial))
        unit = UnitHistory(records[0].serial_number if records else serial, [], records)
        answers = [*runs.items()]
        for other in dict.fromkeys(record.serial_number for record in records):
            answers += (await self._list_runs(other)).items() if other != serial else []
        found: dict[str, Run] = {}
        for name, answer in answers:
            found.update((run.run_id.casefold(), run) for run in answer.runs)
            unit.cut |= {name} if answer.more else set()
        named = [run.model_copy(update={"unit": run.unit or serial}) for run in found.values()]
        unit.runs = deduplicate(named, self._names)
        unit.duplicates = len(found) - len(unit.runs)
        return unit

    async def collect_sub_units(self, unit: UnitHistory) -> tuple[list[UnitHistory], bool]:
        """The histories of all that is built into a unit, outermost first, and whether some are left out.

        A unit that is said to be inside itself is looked at once.
        """
        seen, found, rank = {unit.serial.casefold()}, list[UnitHistory](), [unit]
        while rank:
            inside = [name for unit in rank for record in unit.records for name in record.sub_units]
            spelled = {name.casefold(): name for name in reversed(inside) if name.casefold() not in seen}
            fresh = list(reversed(spelled.values()))
            room = MAX_UNITS - 1 - len(found)
            rank = list(await gather_all(*(self.collect_unit(name) for name in fresh[:room])))
            seen |= {name.casefold() for name in fresh}
            found += rank
            if len(fresh) > room:
                return found, True
        return found, False

    async def collect_peers(self, units: Sequence[UnitHistory]) -> dict[str, PeerUnits]:
        """Other units of the units' parts, by part in lower case: those around the first unit of each."""
        begun = next((run.started_at for run in units[0].runs), None)
        firsts: dict[str, tuple[str, datetime]] = {}
        for unit in units:
            first = next((run.started_at for run in unit.runs), begun)
            if unit.part and first is not None:
                firsts.setdefault(unit.part.casefold(), (unit.part, first))
        asked = dict(list(firsts.items())[:MAX_PARTS])
        own = [unit.serial for unit in units]
        archives = await self._archives_since(min((first for _, first in asked.values()), default=None))
        found = await gather_all(*(self._find_peers(archives, part, first, own) for part, first in asked.values()))
        return dict(zip(asked, found, strict=True))

    async def _archives_since(self, moment: datetime | None) -> Sequence[RunArchive]:
        """The services that have not failed, their history in place of those whose it is held since a moment."""
        left = [archive for archive in self._archives if archive.name not in self.failed]
        if self._use_history is None or moment is None:
            return left
        return await self._use_history(left, moment, self._deadline.share(HISTORY_SHARE))

    async def _ask(self, services: Iterable[S], ask: Callable[[S], Awaitable[T]]) -> dict[str, T]:
        """Ask all that have not failed so far; answers by service name."""
        seconds = min(self._deadline.share(QUESTION_SHARE), self._deadline.long_step())
        answers = await ask_all([s for s in services if s.name not in self.failed], ask, seconds)
        for name, error in answers.failed.items():
            self.failed.setdefault(name, error)
        return answers.given

    async def _get_records(self, serial: str) -> list[Unit]:
        registries = [archive for archive in self._archives if isinstance(archive, UnitRegistry)]
        found = await self._ask(registries, lambda r: _none_on((NotFound, BadInput), partial(r.get_unit, serial)))
        return [record for record in found.values() if record is not None]

    async def _list_runs(self, serial: str) -> dict[str, Runs]:
        query = RunQuery(unit=serial)
        found = await self._ask(self._archives, lambda a: _none_on((NotFound,), partial(a.list_runs, query, MAX_RUNS)))
        return {name: runs for name, runs in found.items() if runs is not None}

    async def _find_peers(
        self, archives: Sequence[RunArchive], part: str, moment: datetime, own: Iterable[str]
    ) -> PeerUnits:
        asked = [archive.name for archive in archives if archive.name not in self.failed]
        spans = await self._ask(archives, lambda archive: _read_span(archive, part, moment))
        peers = find_peers([span for span in spans.values() if span], own, self._names, datetime.now(UTC))
        peers.uncompared = [name for name in asked if spans.get(name) is None]
        return peers


async def _read_span(archive: RunArchive, part: str, moment: datetime) -> TimeSpan | None:
    """A part's runs on both sides of a moment; None when the service cannot list them."""
    sides = (RunQuery(part=part, until=moment), RunQuery(part=part, since=moment, oldest_first=True))
    before, after = await gather_all(
        *(_none_on((NotFound, Unsupported), partial(archive.list_runs, side, MAX_PEER_RUNS)) for side in sides)
    )
    if before is None or after is None:
        return None
    both = {run.run_id: run for run in (*before.runs, *after.runs)}
    return TimeSpan(
        list(both.values()),
        before.runs[-1].started_at if before.more and before.runs else None,
        after.runs[-1].started_at if after.more and after.runs else None,
    )


async def _none_on(errors: tuple[type[LabError], ...], ask: Callable[[], Awaitable[T]]) -> T | None:
    try:
        return await ask()
    except errors:
        return None
