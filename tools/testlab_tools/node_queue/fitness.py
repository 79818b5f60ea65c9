"""Which nodes are passed over, in our own words: not in service, or their last runs failed at the equipment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from testlab_tools.capabilities import RunArchive, Service
from testlab_tools.errors import LabError
from testlab_tools.models.lab import Node, NodeState, Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.times import iso
from testlab_tools.triage.causes import read_fault

LATELY = timedelta(hours=6)
"""A node whose last runs are older is fit again: nobody would ever run on it otherwise."""
LAST_RUNS = 2
"""All of a node's last runs, at least so many, failed at the equipment."""
MAX_RUNS = 200
FRESH_S = 180.0

OUT_OF_SERVICE: Mapping[NodeState, str] = {
    "offline": "offline",
    "licence expired": "its licence has expired",
    "unavailable": "its service says that it is not available",
}


def find_faults(runs: Sequence[Run]) -> dict[str, str]:
    """What is wrong with the equipment of stations whose last runs all say so; `runs` are the newest first."""
    by_station: dict[str, list[Run]] = {}
    for run in runs:
        if run.outcome != "running":
            by_station.setdefault(run.station, []).append(run)
    found: dict[str, str] = {}
    for station, (newest, *others) in by_station.items():
        last = [newest, *others][:LAST_RUNS]
        faults = [run.outcome in ("fail", "error") and read_fault(run.reason, run.outcome == "error") for run in last]
        if len(last) == LAST_RUNS and all(faults):
            found[station] = f"its last {LAST_RUNS} runs failed at the equipment: {faults[0]}, {iso(newest.started_at)}"
    return found


def out_of_service(node: Node) -> str:
    """Why a node cannot be taken, whoever holds it; empty where it can."""
    return OUT_OF_SERVICE.get(node.state, "")


class FaultCollector:
    """Reads the latest runs of a service, at most every FRESH_S seconds. What cannot be read is no fault."""

    def __init__(self, service: Service) -> None:
        self._archive = service if isinstance(service, RunArchive) else None
        self._faults: dict[str, str] = {}
        self._read_at = -FRESH_S

    async def read(self) -> Mapping[str, str]:
        """By native id of the node, what is wrong with its equipment."""
        if self._archive is None or time.monotonic() - self._read_at < FRESH_S:
            return self._faults
        self._read_at = time.monotonic()
        try:
            runs = await self._archive.list_runs(RunQuery(since=datetime.now(UTC) - LATELY), MAX_RUNS)
            self._faults = find_faults(runs.runs)
        except LabError:
            self._faults = {}
        return self._faults
