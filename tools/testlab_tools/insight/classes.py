"""Product, infrastructure or flaky: decided by rules over runs, each with the numbers it went by."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from testlab_tools.capabilities import Failure
from testlab_tools.insight.facts import Facts
from testlab_tools.insight.faults import fault_of
from testlab_tools.insight.nouns import CauseClass
from testlab_tools.models import Run
from testlab_tools.times import iso

CHANCE = 0.01
"""Failures are one station's own if so many there and none elsewhere is less likely than this by chance."""

FEW = 3
"""Fewer failures at one station, or passes at others, prove nothing."""


class Verdict(NamedTuple):
    """A class, and in our words what speaks for it."""

    class_: CauseClass
    evidence: str


class Mix(NamedTuple):
    """Outcomes of one unit, or of one station where units are not known, on one revision, in order of time.

    `outcomes` holds whether each passed; `failed` counts the cause's failures in the window.
    """

    outcomes: tuple[bool, ...]
    failed: int

    @property
    def switches(self) -> int:
        """How often a pass and a failure follow each other. One may be a change nobody recorded; two go to and fro."""
        return sum(a != b for a, b in zip(self.outcomes, self.outcomes[1:], strict=False))


def judged(facts: Facts) -> Verdict:
    """The class of a cause. Where the data does not tell, it stays with the product, and the evidence says so."""
    if not facts.failures[0].case and not facts.failures[0].reason:
        return Verdict(
            "product", f"By default: what failed was not told or not read; causes may differ. {_places(facts)}"
        )
    if verdict := by_message(facts):
        return verdict
    seen = facts.comparable()
    if not seen.failures:
        return Verdict(
            "product", "By default: all its failures are older than the passes read; narrow since and until."
        )
    verdict = by_station(seen) or by_mix(seen) or by_default(seen)
    if facts.oldest_read is None:
        return verdict
    return Verdict(verdict.class_, f"Since {iso(facts.oldest_read)[:10]}: {verdict.evidence}")


def by_message(facts: Facts) -> Verdict | None:
    """Infrastructure: the message itself names a fault of the equipment."""
    fault = fault_of(facts.failures[0])
    if not fault:
        return None
    said = f"The message tells of {fault}. {_places(facts)}"
    if facts.alike:
        said += f" {_n(facts.alike, 'other case')} there failed with the same message."
    return Verdict("infrastructure", said)


def by_station(facts: Facts) -> Verdict | None:
    """Infrastructure: one station only, although others ran the same test meanwhile, and too often for chance."""
    at = facts.failures[0].run.station
    revision = _revision(facts.failures[0])
    same = [f for f in facts.failures if _revision(f) == revision]
    units = {f.run.unit for f in same if f.run.unit}
    elsewhere_failed = any(f.run.station != at for f in facts.failures)
    if facts.one_station or not at or elsewhere_failed or len(same) < FEW or len(units) == 1:
        return None
    meanwhile = [run for run in _meanwhile(facts) if run.revision == revision]
    here = sum(run.station == at for run in meanwhile)
    elsewhere = [run for run in meanwhile if run.station and run.station != at]
    chance = ((len(same) + here) / (len(same) + here + len(elsewhere))) ** len(same)
    if len(elsewhere) < FEW or chance > CHANCE:
        return None
    others = _n(len({run.station for run in elsewhere}), "other")
    return Verdict(
        "infrastructure",
        f"All {len(same)} failures at one station, with {_n(here, 'pass', 'passes')} there, while {others} passed "
        f"{len(elsewhere)} of the same test: by chance in {_percent(chance)} of cases.",
    )


def by_mix(facts: Facts) -> Verdict | None:
    """Flaky: passes and failures go to and fro where nothing changed in between, more than they stay failing."""
    mixes = mixed(facts)
    swaying = [mix for mix in mixes if mix.switches > 1]
    steady = sum(mix.failed for mix in mixes if mix.switches == 0 and len(mix.outcomes) > 1)
    failed = sum(mix.failed for mix in swaying)
    if failed <= steady:
        return None
    passed = sum(sum(mix.outcomes) for mix in swaying)
    every = sum(len(mix.outcomes) for mix in swaying)
    switches = sum(mix.switches for mix in swaying)
    where = "unit" if facts.failures[0].run.unit else "station"
    known = " and revision" if _revision(facts.failures[0]) else ""
    return Verdict(
        "flaky",
        f"{_n(passed, 'pass', 'passes')} and {_n(every - passed, 'failure')} to and fro ({switches} changes) on the "
        f"same {where}{known}, at {_n(len(swaying), where)}: {failed} of the {len(facts.failures)} here.",
    )


def by_default(facts: Facts) -> Verdict:
    """Product: nothing speaks for another class; how sure that is, is said."""
    said = [_for_want_of_data(facts) or _passes(facts), _places(facts)]
    if retried := max(f.retried for f in facts.failures):
        said.append(f"Retried within the run up to {_n(retried, 'time')}, and failed still.")
    if all(f.run.outcome == "error" for f in facts.failures):
        said.append("Ended in error, not with a verdict: the test itself may be at fault.")
    return Verdict("product", " ".join(said))


def mixed(facts: Facts) -> list[Mix]:
    """Outcomes per unit (or station) and revision. Of a station without revisions nothing is concluded."""
    events = [(_series(f.run, _revision(f)), f.run.started_at, False, True) for f in facts.failures]
    events += [(_series(f.run, _revision(f)), f.run.started_at, False, False) for f in facts.before]
    events += [(_series(run, run.revision), run.started_at, True, False) for run in facts.passes or ()]
    events.sort(key=lambda event: (event[0], event[1]))
    return [
        Mix(tuple(passed for _, _, passed, _ in same), sum(now for _, _, _, now in same))
        for key, same in ((key, list(same)) for key, same in groupby(events, lambda event: event[0]))
        if (key[0] or key[2]) and any(now for _, _, _, now in same)
    ]


def _series(run: Run, revision: str) -> tuple[str, str, str]:
    return (run.unit, "" if run.unit else run.station, revision)


def _revision(failure: Failure) -> str:
    return failure.revision or failure.run.revision


def _meanwhile(facts: Facts) -> list[Run]:
    """Passes in the window."""
    return [run for run in facts.passes or () if run.started_at >= facts.since]


def _for_want_of_data(facts: Facts) -> str:
    """What is missing to tell a product's failure from another; empty when there is enough."""
    if facts.passes is None:
        return "By default: passes of this test could not be read to compare with."
    if len(facts.failures) + len(facts.before) == 1:
        passed = _alike(facts)
        kept = f"{_n(len(passed), 'run')} of the test passed" if passed else "no run of the test passed"
        return f"By default: it failed once, and {kept}; too little to tell."
    return ""


def _passes(facts: Facts) -> str:
    """How often the test passes otherwise, and what became of the units that failed."""
    passed = _alike(facts)
    where = " on its revision" if _revision(facts.failures[0]) else ""
    failed = len({f.run.run_id for f in (*facts.failures, *facts.before)})
    said = f"{_n(len(passed), 'run')} of the test passed{where}, {failed} failed so."
    units = {f.run.unit for f in facts.failures if f.run.unit}
    last = {f.run.unit: f.run.started_at for f in reversed(facts.failures) if f.run.unit}
    later = {run.unit for run in facts.passes or () if run.unit in last and run.started_at > last[run.unit]}
    if later:
        said += f" {len(later)} of {_n(len(units), 'unit')} passed later; whether reworked first is not recorded."
    elif not units and passed and _one_change(facts):
        said += " It passed before and fails since: a change that is not recorded, or too few runs to tell flaky."
    return said


def _alike(facts: Facts) -> list[Run]:
    """Passes on the revisions that failed."""
    revisions = {_revision(f) for f in facts.failures}
    return [run for run in facts.passes or () if run.revision in revisions or "" in (*revisions, run.revision)]


def _one_change(facts: Facts) -> bool:
    return any(mix.switches == 1 and mix.outcomes[0] for mix in mixed(facts))


def _places(facts: Facts) -> str:
    """Where it failed, and where the same test passed meanwhile."""
    stations = {f.run.station for f in facts.failures if f.run.station}
    if not stations:
        return "Its station is not recorded."
    elsewhere = [run for run in _meanwhile(facts) if run.station and run.station not in stations]
    there = [run for run in _meanwhile(facts) if run.station in stations]
    said = f"At {_n(len(stations), 'station')}"
    if len(stations) > 1:
        most = max(_counts(f.run.station for f in facts.failures))
        said += f" ({most} of {len(facts.failures)} failures at one of them)"
    if facts.passes is None:
        return f"{said}."
    at_least = "at least " if facts.oldest_read and facts.oldest_read > facts.since else ""
    said += f", which passed the test {at_least}{_n(len(there), 'time')} meanwhile"
    if facts.one_station:
        return f"{said}; others were not compared."
    others = len({run.station for run in elsewhere})
    return (
        f"{said}; {_n(others, 'other')} passed it {_n(len(elsewhere), 'time')}."
        if others
        else f"{said}; no other passed it."
    )


def _counts(names: Iterable[str]) -> list[int]:
    return [len(list(same)) for _, same in groupby(sorted(names))]


def _percent(chance: float) -> str:
    return f"{chance:.1%}" if chance >= 0.001 else "less than 0.1%"


def _n(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
