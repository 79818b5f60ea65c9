"""Product, infrastructure, flaky or unclear: the class of a cause, by rules over runs, with the numbers behind it."""

from __future__ import annotations

from itertools import groupby
from typing import Literal, NamedTuple

from testlab_tools.capabilities import Failure
from testlab_tools.models.lab import Run
from testlab_tools.times import iso
from testlab_tools.triage.causes import find_fault
from testlab_tools.triage.compare import ClassificationInput

MAX_CHANCE = 0.01
"""Failures are one station's own if so many there and none elsewhere is less likely than this by chance."""

PASSED_LATER = "passed later"
"""Of units, in the evidence."""

MIN_RUNS = 3
"""Fewer failures at one station, or passes at others, prove nothing."""


CauseClass = Literal["product", "infrastructure", "flaky", "unclear"]


class Verdict(NamedTuple):
    """A class, and in our words what speaks for it."""

    class_: CauseClass
    evidence: str


class OutcomeSequence(NamedTuple):
    """Outcomes of one unit, or of one station where units are not known, on one revision, in order of time.

    `outcomes` holds whether each passed; `failed` counts the cause's failures in the window.
    """

    outcomes: tuple[bool, ...]
    failed: int

    @property
    def switches(self) -> int:
        """How often a pass and a failure follow each other. One may be a change nobody recorded; two go to and fro."""
        return sum(a != b for a, b in zip(self.outcomes, self.outcomes[1:], strict=False))


def classify(data: ClassificationInput) -> Verdict:
    """The class of a cause: unclear where there is too little to tell, and the evidence says what is missing."""
    if data.mixed:
        return Verdict("unclear", f"{data.mixed} causes: group_by=cause tells them apart.")
    if not data.failures[0].case and not data.failures[0].reason:
        return Verdict("unclear", "What failed was not told or not read; causes may differ.")
    if verdict := _by_message(data):
        return verdict
    comparable = data.comparable()
    if not comparable.failures:
        return Verdict("unclear", "Its failures are older than the passes read; narrow since and until.")
    verdict = _by_station(comparable) or _by_sequence(comparable) or _by_history(comparable)
    if data.oldest_read is None or len(comparable.failures) == len(data.failures):
        return verdict
    return Verdict(verdict.class_, f"Since {iso(data.oldest_read)[:10]}: {verdict.evidence}")


def _by_message(data: ClassificationInput) -> Verdict | None:
    """Infrastructure: the message itself names a fault of the equipment."""
    fault = find_fault(data.failures[0])
    if not fault:
        return None
    return Verdict("infrastructure", f"Message: {fault}. {_places(data)}".strip())


def _by_station(data: ClassificationInput) -> Verdict | None:
    """Infrastructure: one station only, although others ran the same test meanwhile, and too often for chance."""
    at = data.failures[0].run.station
    revision = _revision(data.failures[0])
    same = [f for f in data.failures if _revision(f) == revision]
    units = {f.run.unit for f in same if f.run.unit}
    elsewhere_failed = any(f.run.station != at for f in data.failures)
    if data.one_station or not at or elsewhere_failed or len(same) < MIN_RUNS or len(units) == 1:
        return None
    meanwhile = [run for run in _meanwhile(data) if run.revision == revision]
    here = sum(run.station == at for run in meanwhile)
    elsewhere = [run for run in meanwhile if run.station and run.station != at]
    chance = ((len(same) + here) / (len(same) + here + len(elsewhere))) ** len(same)
    if len(elsewhere) < MIN_RUNS or chance > MAX_CHANCE:
        return None
    others = tally(len({run.station for run in elsewhere}), "other")
    return Verdict(
        "infrastructure",
        f"All {len(same)} at one station ({tally(here, 'pass', 'passes')} there), while {others} passed "
        f"{tally(len(elsewhere), 'time')}: by chance in {_percent(chance)} of cases.",
    )


def _by_sequence(data: ClassificationInput) -> Verdict | None:
    """Flaky: passes and failures go to and fro where nothing changed in between, more than they stay failing."""
    sequences = _sequences(data)
    switching = [one for one in sequences if one.switches > 1]
    steady = sum(one.failed for one in sequences if one.switches == 0 and len(one.outcomes) > 1)
    failed = sum(one.failed for one in switching)
    if failed <= steady:
        return None
    passed = sum(sum(one.outcomes) for one in switching)
    every = sum(len(one.outcomes) for one in switching)
    switches = sum(one.switches for one in switching)
    where = "unit" if data.failures[0].run.unit else "station"
    known = " and revision" if _revision(data.failures[0]) else ""
    return Verdict(
        "flaky",
        f"To and fro on one {where}{known}: {tally(passed, 'pass', 'passes')}, "
        f"{tally(every - passed, 'failure')}{_earlier(data)}, {switches} changes"
        + (f" at {len(switching)} {where}s." if len(switching) > 1 else "."),
    )


def _by_history(data: ClassificationInput) -> Verdict:
    """Product: it failed with a verdict, more than once, and nothing speaks for another class. Else unclear."""
    missing = _missing_data(data)
    class_: CauseClass = "unclear" if missing else "product"
    said = [missing] if missing else [_pass_history(data), _places(data)]
    if _fails_since(data) and len(data.failures) + len(data.before) < MIN_RUNS:
        class_ = "unclear"
    if retried := max(f.retried for f in data.failures):
        said.append(f"Retried up to {tally(retried, 'time')} within a run.")
    if all(f.run.outcome == "error" for f in data.failures):
        class_ = "unclear"
        said.append("In error, not a verdict: perhaps the test itself.")
    return Verdict(class_, " ".join(part for part in said if part))


def _sequences(data: ClassificationInput) -> list[OutcomeSequence]:
    """Outcomes per unit (or station) and revision. Of a station without revisions nothing is concluded."""
    events = [(_subject(f.run, _revision(f)), f.run.started_at, False, True) for f in data.failures]
    events += [(_subject(f.run, _revision(f)), f.run.started_at, False, False) for f in data.before]
    events += [(_subject(run, run.revision), run.started_at, True, False) for run in data.passes or ()]
    events.sort(key=lambda event: (event[0], event[1]))
    return [
        OutcomeSequence(tuple(passed for _, _, passed, _ in same), sum(now for _, _, _, now in same))
        for key, same in ((key, list(same)) for key, same in groupby(events, lambda event: event[0]))
        if (key[0] or key[2]) and any(now for _, _, _, now in same)
    ]


def _subject(run: Run, revision: str) -> tuple[str, str, str, str]:
    return (run.unit, "" if run.unit else run.station, revision, run.test)


def _revision(failure: Failure) -> str:
    return failure.revision or failure.run.revision


def _meanwhile(data: ClassificationInput) -> list[Run]:
    """Passes in the window."""
    return [run for run in data.passes or () if run.started_at >= data.since]


def _missing_data(data: ClassificationInput) -> str:
    """What is missing to tell a product's failure from another; empty when there is enough."""
    if data.passes is None:
        return "Passes to compare with could not be read."
    if len(data.failures) + len(data.before) == 1:
        return f"Failed once, beside {tally(len(_comparable_passes(data)), 'pass', 'passes')}: too little to tell."
    return ""


def _pass_history(data: ClassificationInput) -> str:
    """How often the test passes otherwise, and what became of the units that failed."""
    passed = _comparable_passes(data)
    where = " on its revision" if _revision(data.failures[0]) else ""
    failed = len({f.run.run_id for f in (*data.failures, *data.before)})
    said = f"{tally(failed, 'failed run')}{_earlier(data)}, {tally(len(passed), 'pass', 'passes')}{where}."
    units = {f.run.unit for f in data.failures if f.run.unit}
    last = {f.run.unit: f.run.started_at for f in reversed(data.failures) if f.run.unit}
    later = {run.unit for run in data.passes or () if run.unit in last and run.started_at > last[run.unit]}
    if later:
        said += f" {len(later)} of {tally(len(units), 'unit')} {PASSED_LATER}."
    elif _fails_since(data):
        said += " Passed before, fails since."
    return said


def _fails_since(data: ClassificationInput) -> bool:
    """Whether it passed at a station, and has failed there since, on one revision: a change that nobody recorded, or
    too few runs to tell flaky."""
    units = any(f.run.unit for f in data.failures)
    return not units and any(one.switches == 1 and one.outcomes[0] for one in _sequences(data))


def _earlier(data: ClassificationInput) -> str:
    """How many of the failures counted were before the window."""
    return f" ({len(data.before)} before)" if data.before else ""


def _comparable_passes(data: ClassificationInput) -> list[Run]:
    """Passes on the revisions that failed."""
    revisions = {_revision(f) for f in data.failures}
    return [run for run in data.passes or () if run.revision in revisions or "" in (*revisions, run.revision)]


def _places(data: ClassificationInput) -> str:
    """How often the same tests passed meanwhile, where it failed and elsewhere."""
    stations = {f.run.station for f in data.failures if f.run.station}
    if not stations or data.passes is None:
        return ""
    elsewhere = [run for run in _meanwhile(data) if run.station and run.station not in stations]
    there = [run for run in _meanwhile(data) if run.station in stations]
    at_least = "at least " if data.oldest_read and data.oldest_read > data.since else ""
    said = f"Meanwhile {at_least}{tally(len(there), 'pass', 'passes')} there"
    if data.one_station:
        return f"{said}; others were not compared."
    others = len({run.station for run in elsewhere})
    return f"{said}, {len(elsewhere)} at {tally(others, 'other')}." if others else f"{said}, 0 elsewhere."


def _percent(chance: float) -> str:
    return f"{chance:.1%}" if chance >= 0.001 else "less than 0.1%"


def tally(count: int, one: str, many: str = "") -> str:
    """`2 units`, `1 unit`."""
    return f"{count} {one if count == 1 else many or one + 's'}"
