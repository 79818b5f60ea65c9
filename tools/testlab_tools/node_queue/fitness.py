"""Which nodes are passed over, in our own words: not in service, or their last runs failed at the equipment."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import NamedTuple

from testlab_tools.capabilities import RunArchive, Service
from testlab_tools.errors import LabError
from testlab_tools.models.lab import Run
from testlab_tools.models.nodes import Node, NodeState
from testlab_tools.models.requests import RunQuery
from testlab_tools.times import iso
from testlab_tools.triage.causes import read_fault

LATELY = timedelta(hours=6)
"""A node whose last runs are older is fit again: nobody would ever run on it otherwise."""
LAST_RUNS = 2
"""All of a node's last runs, at least so many, failed at the equipment."""
SHARE_RUNS = 20
"""The newest runs of a node whose share of faults is looked at: a node that fails now and then passes in between."""
FEWEST_RUNS = 8
"""Fewer are no evidence of a share. Of a node that fails at the equipment in a tenth of its runs, 4 of 8 or more do so
once in 200 times."""
MAX_SHARE = 0.5
"""A node that fails at the equipment more often than it judges the product costs more than it gives. Its share falls as
it passes again, and its old runs leave LATELY."""
SOUND_RUNS = 3
"""A node that judged the product in so many newest runs is mended: one that fails in 84 % does so once in 240 times."""
FEWEST_OTHER_RUNS = 3
"""Of another node at the same tests, to compare a share with."""
CLEARLY = 2
"""Times the share of the others: where all fail alike, it is the test, or what all of them need."""
SAME_TESTS = "other nodes did better at the same tests"
SEVERAL_TESTS = "at several tests"
FRESH_S = 180.0
READ_S = 10.0
"""A service that lists its runs more slowly has its nodes judged by those seen before."""

OUT_OF_SERVICE: Mapping[NodeState, str] = {
    "offline": "offline",
    "licence expired": "its licence has expired",
    "unavailable": "its service says that it is not available",
}


class Said(NamedTuple):
    """What a run says of the equipment, empty for nothing; `judged` is one that judged the product."""

    test: str
    fault: str
    judged: bool


class Faults(NamedTuple):
    """By native id of the node, what is wrong with its equipment: by its last runs in a row, or by a share of them."""

    last: Mapping[str, str] = {}
    share: Mapping[str, str] = {}


def find_faults(runs: Sequence[Run]) -> Faults:
    """What is wrong with the equipment of stations whose last runs all say so, or most of their latest; `runs` are the
    newest first."""
    by_station: dict[str, list[Run]] = {}
    for run in runs:
        if run.outcome != "running":
            by_station.setdefault(run.station, []).append(run)
    said = {station: [_say(run) for run in latest[:SHARE_RUNS]] for station, latest in by_station.items()}
    last: dict[str, str] = {}
    share: dict[str, str] = {}
    for station, latest in by_station.items():
        when = iso(latest[0].started_at)
        if why := _find_last(station, said, when):
            last[station] = why
        elif why := find_share(station, said) or _find_single(station, said, when):
            share[station] = why
    return Faults(last, share)


def _find_last(station: str, said: Mapping[str, Sequence[Said]], when: str) -> str:
    basis = compare(said[station][:LAST_RUNS], station, said, 1) if _all_failed(said[station]) else ""
    return f"{_describe_last(said[station], when)}; {basis}" if basis else ""


def _find_single(station: str, said: Mapping[str, Sequence[Said]], when: str) -> str:
    """What one test alone says of a station where no other ran it: the test may be to blame."""
    if not _all_failed(said[station]):
        return ""
    test = said[station][0].test
    if any(one.test == test for name, latest in said.items() if name != station for one in latest):
        return ""
    return f"{_describe_last(said[station], when)}; at one test, which no other node ran"


def _all_failed(latest: Sequence[Said]) -> bool:
    return len(latest) >= LAST_RUNS and all(one.fault for one in latest[:LAST_RUNS])


def _describe_last(latest: Sequence[Said], when: str) -> str:
    return f"its last {LAST_RUNS} runs failed at the equipment: {latest[0].fault}, {when}"


def find_share(station: str, said: Mapping[str, Sequence[Said]]) -> str:
    """What is wrong with a station that passes now and then, and fails at the equipment in most of its latest runs; of
    each station, what up to SHARE_RUNS runs say, the newest first."""
    latest = said.get(station, ())
    faults = [one.fault for one in latest if one.fault]
    if len(latest) < FEWEST_RUNS or len(faults) < MAX_SHARE * len(latest):
        return ""
    if all(one.judged for one in latest[:SOUND_RUNS]):
        return ""
    basis = compare(latest, station, said, FEWEST_OTHER_RUNS)
    (common, _), *_ = Counter(faults).most_common(1)
    return f"{len(faults)} of its last {len(latest)} runs failed at the equipment: {common}; {basis}" if basis else ""


def compare(latest: Sequence[Said], station: str, said: Mapping[str, Sequence[Said]], fewest: int) -> str:
    """By what a station is at fault, not its tests: it fares clearly worse than the others at the tests that fail on it
    or, where no other ran these, they are several. Empty where the tests may be to blame. Of each other station as many
    newest runs count as `latest` has, and at least `fewest`."""
    tests = {one.test for one in latest if one.fault}
    mine = [bool(one.fault) for one in latest if one.test in tests]
    others = [
        sum(told) / len(told)
        for name, every in said.items()
        if name != station
        and len(told := [bool(one.fault) for one in every if one.test in tests][: len(latest)]) >= fewest
    ]
    if others:
        return SAME_TESTS if sum(mine) / len(mine) >= CLEARLY * median_low(others) else ""
    return SEVERAL_TESTS if len(tests) > 1 else ""


def _say(run: Run) -> Said:
    fault = _fault_of(run)
    return Said(run.test, fault, run.outcome in ("pass", "fail") and not fault)


def _fault_of(run: Run) -> str:
    return read_fault(run.reason, run.outcome == "error") if run.outcome in ("fail", "error") else ""


def out_of_service(node: Node) -> str:
    """Why a node cannot be taken, whoever holds it; empty where it can."""
    return OUT_OF_SERVICE.get(node.state, "")


class FaultCollector:
    """Reads the latest runs of a service, at most every FRESH_S seconds. What cannot be read is no fault; of each node
    what was read before is kept, as the newest runs of a busy farm are all of other nodes."""

    def __init__(self, service: Service) -> None:
        self._archive = service if isinstance(service, RunArchive) else None
        self._runs: list[Run] = []
        self._read_at = -FRESH_S
        self._reading = asyncio.Lock()

    async def read(self) -> Faults:
        """What is wrong with the equipment of the service's nodes."""
        async with self._reading:
            if self._archive is not None and time.monotonic() - self._read_at >= FRESH_S:
                self._read_at = time.monotonic()
                since = datetime.now(UTC) - LATELY
                self._runs = keep_latest([*await _list_latest(self._archive, since), *self._runs], since)
            return find_faults(self._runs)


async def _list_latest(archive: RunArchive, since: datetime) -> Sequence[Run]:
    try:
        async with asyncio.timeout(READ_S):
            return (await archive.list_runs(RunQuery(since=since), archive.count_page)).runs
    except (LabError, TimeoutError):
        return []


def keep_latest(runs: Sequence[Run], since: datetime) -> list[Run]:
    """Of each station its SHARE_RUNS newest runs that have ended, the newest first."""
    ended = {run.run_id: run for run in runs if run.outcome != "running" and run.started_at >= since}
    counts: Counter[str] = Counter()
    kept: list[Run] = []
    for run in sorted(ended.values(), key=lambda run: run.started_at, reverse=True):
        counts[run.station] += 1
        if counts[run.station] <= SHARE_RUNS:
            kept.append(run)
    return kept
