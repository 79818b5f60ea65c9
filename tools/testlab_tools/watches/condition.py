"""The yield of the last units, by what summarize_runs computes from the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from testlab_tools.archive.archive import HistoryArchive, ServiceHistory, open_history
from testlab_tools.errors import LabError
from testlab_tools.files.folders import Folders
from testlab_tools.files.transfers import Transfers
from testlab_tools.lab import Lab
from testlab_tools.long_services import LaunchServices
from testlab_tools.models.watches import YieldFigures
from testlab_tools.registry import Call
from testlab_tools.statistics.selection import RunFilter, find_last_units, resolve_names, services_with
from testlab_tools.statistics.summary import SummaryOrder, summarize
from testlab_tools.watches.subjects import Condition, Subject
from testlab_tools.watches.watches import OpenArchive


async def read_yield(call: Call, service: str, condition: Condition) -> YieldFigures:
    """The first pass yield of the last units that match, as it is known now.

    Raises:
        NotFound: no such part, test or station; with the nearest.
        LabError: there is no history of any service.
    """
    history = await open_history(call, service)
    zone = call.lab.archive.timezone if call.lab.archive else "UTC"
    runs = RunFilter([share.service for share in history.freshness], zone=zone)
    names = {"part": condition.part, "test": condition.test, "station": condition.station}
    runs = await resolve_names(history.view, runs, names, _say_unread(history.freshness))
    figures = YieldFigures(
        below=condition.below,
        over_units=condition.over_units,
        part=condition.part,
        test=condition.test,
        station=condition.station,
    )
    begin = await find_last_units(history.view, runs, condition.over_units)
    found = await summarize(history.view, replace(runs, since=begin), SummaryOrder("first_pass_yield"))
    having = await services_with(history.view, runs)
    unknown = _say_unread([share for share in history.freshness if share.service in having or share.error])
    if not unknown and begin is None:
        unknown = f"There are {found.total.n} units with a verdict, of {condition.over_units}"
    return figures.model_copy(
        update={
            "percent": None if found.total.rate is None else round(found.total.rate * 100, 2),
            "interval": [round(end * 100, 2) for end in found.total.interval],
            "n": found.total.n,
            "since": begin,
            "unknown": unknown,
        }
    )


def _say_unread(shares: Sequence[ServiceHistory]) -> str:
    """Which services' history is not up to date; empty where all is."""
    late = [share.service for share in shares if not share.cannot.startswith("It cannot") and not share.complete]
    late += [share.service for share in shares if share.error or share.busy]
    return f"Not all of {', '.join(dict.fromkeys(late))} is read yet" if late else ""


class YieldReader:
    """Reads yields for the engine's launch, with the config's tokens."""

    def __init__(self, services: LaunchServices, open_archive: OpenArchive) -> None:
        self._services = services
        self._open_archive = open_archive
        self._archive: HistoryArchive | None = None

    async def read(self, subject: Subject) -> YieldFigures:
        """The figures of a watched yield. Raises LabError."""
        assert subject.condition is not None, "of this kind"
        if self._archive is None:
            self._archive = self._open_archive()
        if self._archive is None:
            raise LabError("History is not kept any more", "[archive] enabled is false in the config", "")
        lab = Lab(self._services.now().values(), archive=self._archive)
        call = Call(lab, Folders([], Transfers()), _ignore_progress, access="observe")
        return await read_yield(call, subject.service, subject.condition)


async def _ignore_progress(done: float, total: float, words: str) -> None:
    """Nobody waits for this call."""
