"""The answer of a triage: as many causes as it may cost, their totals, and what is not in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pydantic import ConfigDict, Field

from testlab_tools.capabilities import Failures, RunArchive
from testlab_tools.errors import LabError
from testlab_tools.models.lab import ResultModel
from testlab_tools.paging import cannot_of, short_error
from testlab_tools.times import Minute, Moment, iso
from testlab_tools.token_estimate import estimate_result
from testlab_tools.triage.breaks import Break
from testlab_tools.triage.causes import Cause
from testlab_tools.triage.collect import MAX_PASSED_RUNS, Collected
from testlab_tools.triage.compare import TriageData
from testlab_tools.triage.conclude import PASSED_LATER, CauseClass, Verdict, tally
from testlab_tools.untrusted import Untrusted, shorten

MAX_NAMES = 3
"""Units are named up to so many, and counted beyond."""

MAX_STATIONS = 6
"""Stations are named with their counts up to so many: those with most."""

NAME_CHARS = 48
TEST_CHARS = 120
REASON_CHARS = 140

MAX_TOKENS = 3_900
"""By our own count; the answer's bound is 4,000 of o200k's, the names of its untrusted fields included."""


class CauseGroup(ResultModel):
    """Failures of one cause: one message but for its numbers and names, at whatever tests and stations.

    `test`, and `case` where it is another, are where it failed most; `tests`, if given, counts all it failed at.
    `failures` are of `runs` runs; `unit_names` are given where they are few, `by_station` counts the runs of the
    stations that have most, and `more_stations` those it leaves out. `new`: not seen in what was read from before the
    window, which `first_seen` reaches into. `broke` is given where its test has failed each time since. `run_id` is the
    newest of its runs, `reason` what that one says, shortened.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    service: str
    test: Untrusted
    tests: int = 0
    case: Untrusted = ""
    reason: Untrusted = ""
    class_: CauseClass = Field(serialization_alias="class")
    evidence: str
    failures: int
    runs: int
    units: int = 0
    unit_names: list[Untrusted] = []
    by_station: dict[Untrusted, int] = {}
    more_stations: int = 0
    first_seen: Minute
    last_seen: Minute
    new: bool = False
    broke: Break | None = None
    run_id: str


class TriageShare(ResultModel):
    """What one service gave: failures of `runs` runs that did not pass, `unread` of them without their cases;
    `at_least` where there are more than were read. `error` says why it gave nothing, `cannot` that it never does: then
    there are no counts."""

    service: str
    failures: int | None = None
    runs: int | None = None
    at_least: bool = False
    unread: int = 0
    cannot: str = ""
    error: str = ""


class TriageTotals(ResultModel):
    """All that was read from `since` to `until`: `failures` of `runs` runs have `causes` causes, `new` of them not seen
    before. `samples` counts failures of golden, failing and ignored units, `stopped` runs that somebody stopped;
    neither is in the other counts.
    """

    since: Moment
    until: Moment
    failures: int
    runs: int
    causes: int
    new: int
    samples: int = 0
    stopped: int = 0


class Triage(ResultModel):
    """Failures by cause. `cursor` fetches those that follow; `note` begins with how many these are."""

    totals: TriageTotals
    groups: list[CauseGroup]
    services: list[TriageShare]
    cursor: str = ""
    note: str = ""
    next: str = ""


class Page(NamedTuple):
    """Where a page begins among all causes, those `before` it, and the cursor for a place (empty at the end)."""

    start: int
    before: Sequence[Cause]
    cursor_at: Callable[[int], str]


def render(
    data: TriageData,
    verdicts: Mapping[Cause, Verdict],
    breaks: Mapping[Cause, Break | None],
    mute: Sequence[RunArchive],
    page: Page,
) -> Triage:
    """The result with as many of the causes that have a verdict as it may cost; `mute` services list no failures."""
    silent = [
        TriageShare(
            service=a.name, cannot=f"Cannot list failures of many runs. list_runs(service={a.name}) shows runs."
        )
        for a in mute
    ]
    whole = Triage(
        totals=_totals(data),
        groups=[_group(cause, verdict, breaks.get(cause), data) for cause, verdict in verdicts.items()],
        services=[*map(_share, data.services), *silent],
        note=_note(data, mute),
        next="explain_failure(run_id) tells more of one." if verdicts else "",
    )
    whole = _fit(whole, list(verdicts), data, page)
    if any(PASSED_LATER in group.evidence for group in whole.groups):
        whole.note += f" {PASSED_LATER}: whether reworked before is not known."
    if unknown := sum(cause in breaks and breaks[cause] is None for cause in list(verdicts)[: len(whole.groups)]):
        whole.note += f" When {tally(unknown, 'cause')} broke was not looked up: explain_failure does."
    return whole


def _totals(data: TriageData) -> TriageTotals:
    failures = [failure for same in data.causes.values() for failure in same]
    return TriageTotals(
        since=data.window.since,
        until=data.window.until,
        failures=len(failures),
        runs=len({f.run.run_id for f in failures}),
        causes=len(data.causes),
        new=sum(map(data.is_new, data.causes)),
        samples=sum(c.samples for c in data.services),
        stopped=sum(c.stopped for c in data.services),
    )


def _group(cause: Cause, verdict: Verdict, broke: Break | None, data: TriageData) -> CauseGroup:
    failures, earlier = data.causes[cause], data.earlier.get(cause, [])
    runs = {f.run.run_id: f.run for f in failures}
    units = sorted({run.unit for run in runs.values() if run.unit})
    stations = Counter(run.station for run in runs.values() if run.station)
    (test, case), _ = Counter((f.run.test, f.case) for f in failures).most_common(1)[0]
    tests = len({f.run.test for f in failures})
    return CauseGroup(
        service=cause.service,
        test=shorten(test, TEST_CHARS),
        tests=tests if tests > 1 else 0,
        case="" if case == test else shorten(case, TEST_CHARS),
        reason=shorten(" ".join(failures[0].reason.split()), REASON_CHARS),
        class_=verdict.class_,
        evidence=verdict.evidence,
        failures=len(failures),
        runs=len(runs),
        units=len(units),
        unit_names=[shorten(name, NAME_CHARS) for name in units] if len(units) <= MAX_NAMES else [],
        by_station={shorten(name, NAME_CHARS): count for name, count in stations.most_common(MAX_STATIONS)},
        more_stations=max(0, len(stations) - MAX_STATIONS),
        first_seen=(earlier or failures)[-1].run.started_at,
        last_seen=failures[0].run.started_at,
        new=data.is_new(cause),
        broke=broke,
        run_id=failures[0].run.run_id,
    )


def _share(collected: Collected) -> TriageShare:
    now, failures = collected.now, collected.failures
    if isinstance(now, LabError):
        return TriageShare(service=collected.service, cannot=cannot_of(now), error=short_error(now))
    return TriageShare(
        service=collected.service,
        failures=len(failures),
        runs=len({f.run.run_id for f in failures}),
        at_least=now.more,
        unread=now.unread,
    )


def _note(data: TriageData, mute: Sequence[RunArchive]) -> str:
    """What the reader must know besides the numbers."""
    parts: list[str] = []
    answered = [(c, c.now) for c in data.services if isinstance(c.now, Failures)]
    silent = [c.service for c in data.services if isinstance(c.now, LabError)] + [a.name for a in mute]
    if silent:
        parts.append(f"Nothing of {', '.join(silent)} is in this (see services).")
    if samples := sum(c.samples for c in data.services):
        parts.append(f"Not counted: {samples} failures of golden, failing and ignored samples.")
    looked_back = data.window.compared_since
    if data.causes:
        parts.append(f"Looked back to {iso(looked_back)[:10]}, before since, for first_seen, new and evidence.")
    if unsure := [c.service for c, _ in answered if not c.is_complete(looked_back)]:
        parts.append(f"Of {', '.join(unsure)} that time was not read whole: what is `new` may be older.")
    if partial := [c.service for c, now in answered if now.more or now.unread]:
        parts.append(f"Of {', '.join(partial)} not all was read (at_least, unread): narrow since or test.")
    if cut := sum(passes is not None and passes.cut for passes in data.passes.values()):
        parts.append(f"For {tally(cut, 'test')} by the newest {MAX_PASSED_RUNS} passes only, to bound the requests.")
    if unread := sum(passes is None for passes in data.passes.values()):
        parts.append(f"For {tally(unread, 'test')} passes could not be read.")
    return " ".join(parts)


def _fit(whole: Triage, shown: Sequence[Cause], data: TriageData, page: Page) -> Triage:
    """As many of the groups as a result may cost, how many follow them, and the cursor there."""
    groups = _affordable(whole)
    end = page.start + len(groups)
    passed = {*page.before, *shown[: len(groups)]}
    rest = [failures for cause, failures in data.causes.items() if cause not in passed]
    if not rest:
        return whole
    runs = len({f.run.run_id for failures in rest for f in failures})
    ended = "limit" if len(groups) == len(shown) else "the size of an answer, not limit,"
    said = f"{tally(len(rest), 'more cause')} with {tally(runs, 'run')}: pass cursor ({ended} ended this page)."
    note = f"{said} {whole.note}".strip()
    return whole.model_copy(update={"groups": groups, "cursor": page.cursor_at(end), "note": note})


def _affordable(whole: Triage) -> list[CauseGroup]:
    left = MAX_TOKENS - estimate_result(whole.model_copy(update={"groups": []})) - 150
    kept: list[CauseGroup] = []
    for group in whole.groups:
        left -= estimate_result(group)
        if left < 0 and kept:
            break
        kept.append(group)
    return kept
