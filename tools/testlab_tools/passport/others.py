"""Other units of a part that went through the line around the same time: what one is compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from testlab_tools.models import Run
from testlab_tools.passport.doubles import once
from testlab_tools.passport.procedures import Key, by_procedure

FEWEST = 5
"""With fewer others, what a part goes through is not known."""

History = dict[Key, list[Run]]


@dataclass
class Stretch:
    """Runs of a part as one service gave them: all between `begin` and `end`, None where there are no more."""

    runs: list[Run] = field(default_factory=lambda: list[Run]())
    begin: datetime | None = None
    end: datetime | None = None


@dataclass
class Others:
    """Histories of other units of a part, each whole; `uncompared` services cannot list the runs of a part."""

    histories: list[History] = field(default_factory=lambda: list[History]())
    begin: datetime | None = None
    end: datetime | None = None
    uncompared: list[str] = field(default_factory=lambda: list[str]())

    @property
    def enough(self) -> bool:
        """Whether they tell what the part goes through."""
        return len(self.histories) >= FEWEST


def whole(stretches: Iterable[Stretch], beside: Iterable[str], services: Sequence[str], now: datetime) -> Others:
    """The units of which the stretches hold everything: none that may have begun earlier or may go on later.

    `beside` are serial numbers to leave out. Samples are left out too: they are not production.
    """
    stretches = list(stretches)
    begin = max((s.begin for s in stretches if s.begin), default=None)
    end = min((s.end for s in stretches if s.end), default=now)
    units = _by_unit(once((run for s in stretches for run in s.runs), services), beside)
    spans = sorted(runs[-1].started_at - runs[0].started_at for runs in units)
    margin = spans[(9 * len(spans)) // 10] if spans else timedelta()
    kept = [
        runs
        for runs in units
        if (begin is None or runs[0].started_at > begin + margin) and runs[-1].started_at <= end - margin
    ]
    first = min((runs[0].started_at for runs in kept), default=None)
    last = max((runs[-1].started_at for runs in kept), default=None)
    return Others([by_procedure(runs) for runs in kept], first, last)


def _by_unit(runs: list[Run], beside: Iterable[str]) -> list[list[Run]]:
    apart = {serial.casefold() for serial in beside} | {run.unit.casefold() for run in runs if run.sample} | {""}
    units: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if (serial := run.unit.casefold()) not in apart:
            units[serial].append(run)
    return list(units.values())
