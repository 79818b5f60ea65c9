"""Two runs side by side: what ended otherwise, took longer or measured something else."""

from __future__ import annotations

from typing import Any

from testlab_tools.models.lab import Case, Measurement, ResultModel, Run
from testlab_tools.models.results import RunDetail
from testlab_tools.statistics.answer import Drawn, HistoryShare
from testlab_tools.statistics.revision_comparison import RevisionSide, TestDifference
from testlab_tools.untrusted import Untrusted, UntrustedData

MAX_SHOWN = 40
FIELDS = ("test", "outcome", "station", "unit", "part", "revision", "sample", "attempt")


class CaseDifference(ResultModel):
    """A case that ended otherwise in b, or is in one of the two runs alone (`absent`)."""

    case: Untrusted
    a: str
    b: str
    reason_a: Untrusted = ""
    reason_b: Untrusted = ""


class MeasurementDifference(ResultModel):
    """A measurement that differs in value, verdict or limits; `change` is b less a, of numbers."""

    case: Untrusted
    name: Untrusted
    units: Untrusted = ""
    a: UntrustedData = None
    b: UntrustedData = None
    change: float | None = None
    outcome_a: str = ""
    outcome_b: str = ""
    limits_a: list[float | None] = []
    limits_b: list[float | None] = []


class RunComparison(Drawn):
    """Two runs, or two revisions, by what differs: the rest is alike.

    `differ` names facts of runs that differ, as [a, b]. `cases` and `measurements` are of runs; those with another
    verdict come first, then the largest relative changes. `tests` are of revisions.
    """

    a: str
    b: str
    differ: dict[str, UntrustedData] = {}
    cases: list[CaseDifference] = []
    cases_alike: int = 0
    measurements: list[MeasurementDifference] = []
    measurements_alike: int = 0
    sides: list[RevisionSide] = []
    tests: list[TestDifference] = []
    services: list[HistoryShare] = []
    note: str = ""
    next: str = ""


def compare_two_runs(a: RunDetail, b: RunDetail) -> RunComparison:
    """What differs between two runs, whichever services have them."""
    before, after = ({case.case: case for case in run.cases} for run in (a, b))
    cases = [_case(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]
    differing = [case for case in cases if case is not None]
    pairs = [_measurement(*pair) for pair in pair_measurements(a, b)]
    changed = sorted((pair for pair in pairs if pair is not None), key=_weight)
    notes = [run.note for run in (a, b) if run.note]
    if a.run.test != b.run.test:
        notes.append("The runs are of different tests.")
    for what, found in (("cases", differing), ("measurements", changed)):
        if len(found) > MAX_SHOWN:
            notes.append(f"{MAX_SHOWN} of {len(found)} {what} that differ are shown.")
    return RunComparison(
        a=a.run.run_id,
        b=b.run.run_id,
        differ=_facts(a.run, b.run),
        cases=differing[:MAX_SHOWN],
        cases_alike=len(cases) - len(differing),
        measurements=changed[:MAX_SHOWN],
        measurements_alike=len(pairs) - len(changed),
        note=" ".join(dict.fromkeys(notes)),
        next="compare_runs(a=revision:…, b=revision:…) compares many runs; one pair of runs shows no cause.",
    )


def _facts(a: Run, b: Run) -> dict[str, Any]:
    facts: dict[str, Any] = {
        name: [getattr(a, name), getattr(b, name)] for name in FIELDS if getattr(a, name) != getattr(b, name)
    }
    facts["started_at"] = [run.started_at.strftime("%Y-%m-%dT%H:%M:%SZ") for run in (a, b)]
    facts["duration_s"] = [round(run.duration_s, 3) for run in (a, b)]
    if a.reason != b.reason:
        facts["reason"] = [a.reason, b.reason]
    return facts


def pair_measurements(a: RunDetail, b: RunDetail) -> list[tuple[str, Measurement, Measurement]]:
    """Measurements that both runs have, with their case."""
    after = {case.case: case for case in b.cases}
    pairs: list[tuple[str, Measurement, Measurement]] = []
    for name, case in {case.case: case for case in a.cases}.items():
        others = {one.name: one for one in after[name].measurements} if name in after else {}
        pairs += [(name, one, others[one.name]) for one in case.measurements if one.name in others]
    return pairs


def _case(name: str, a: Case | None, b: Case | None) -> CaseDifference | None:
    ends = [case.outcome if case else "absent" for case in (a, b)]
    if ends[0] == ends[1]:
        return None
    reasons = [case.reason if case else "" for case in (a, b)]
    return CaseDifference(case=name, a=ends[0], b=ends[1], reason_a=reasons[0], reason_b=reasons[1])


def _measurement(case: str, a: Measurement, b: Measurement) -> MeasurementDifference | None:
    limits = [[one.lower, one.upper] for one in (a, b)]
    if (a.value, a.outcome, limits[0]) == (b.value, b.outcome, limits[1]):
        return None
    made = MeasurementDifference(case=case, name=a.name, units=a.units, a=a.value, b=b.value)
    if is_number(a.value) and is_number(b.value):
        made.change = float(f"{b.value - a.value:.6g}")
    if a.outcome != b.outcome:
        made.outcome_a, made.outcome_b = a.outcome, b.outcome
    if limits[0] != limits[1]:
        made.limits_a, made.limits_b = limits
    return made


def is_number(value: Any) -> bool:
    """Whether a value is a number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _weight(pair: MeasurementDifference) -> tuple[bool, float]:
    """Other verdicts first, then by the change in terms of the larger value."""
    if pair.change is None:
        return not pair.outcome_a, -1.0
    size = max(abs(pair.a), abs(pair.b))
    return not pair.outcome_a, -abs(pair.change) / size if size else 0.0
