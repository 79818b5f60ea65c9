"""Triage: failures of all services by cause. Collect, compare, conclude, render: each step is a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ConfigDict, Field

from testlab_tools.capabilities import FailureArchive, Failures, RunArchive
from testlab_tools.deadline import Deadline
from testlab_tools.errors import LabError
from testlab_tools.models.lab import ResultModel
from testlab_tools.models.requests import RunQuery
from testlab_tools.paging import short_error
from testlab_tools.times import Minute, Moment, iso
from testlab_tools.token_estimate import estimate_result
from testlab_tools.triage.causes import Cause
from testlab_tools.triage.collect import MAX_PASSED_RUNS, Collected, Window, collect_failures, collect_passes
from testlab_tools.triage.compare import TriageData, choose_causes, compare
from testlab_tools.triage.conclude import CauseClass, Verdict, classify, tally
from testlab_tools.untrusted import Untrusted, shorten

MAX_NAMES = 3
"""Units and stations are named up to so many, and counted beyond."""

NAME_CHARS = 48
TEST_CHARS = 120
REASON_CHARS = 140

MAX_TOKENS = 3_900
"""By our own count; the answer's bound is 4,000 of o200k's, the names of its untrusted fields included."""


class CauseGroup(ResultModel):
    """Failures of one cause: the same case of the same test, with the same message but for its numbers and names.

    `case` is left out where it is the test itself, or the service does not say it. `failures` are of `runs` runs;
    `unit_names` and `station_names` are given where they are few. `new`: not seen in the window before. `run_id` is
    the newest of its runs, `reason` what that one says, shortened.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    service: str
    test: Untrusted
    case: Untrusted = ""
    reason: Untrusted = ""
    class_: CauseClass = Field(serialization_alias="class")
    evidence: str
    failures: int
    runs: int
    units: int = 0
    unit_names: list[Untrusted] = []
    stations: int = 0
    station_names: list[Untrusted] = []
    first_seen: Minute
    last_seen: Minute
    new: bool = False
    run_id: str


class TriageShare(ResultModel):
    """What one service gave: failures of `runs` runs that did not pass, `unread` of them without their cases;
    `at_least` where there are more than were read. `error` says why it gave nothing."""

    service: str
    failures: int = 0
    runs: int = 0
    at_least: bool = False
    unread: int = 0
    error: str = ""


class TriageTotals(ResultModel):
    """All that was read from `since` to `until`: `failures` of `runs` runs have `causes` causes, `new` of them not seen
    in the window before. `samples` counts failures of golden, failing and ignored units, `stopped`
    runs that somebody stopped; neither is in the other counts.
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
    """Failures by cause, newest last seen first; `note` begins with what is not shown."""

    totals: TriageTotals
    groups: list[CauseGroup]
    services: list[TriageShare]
    note: str = ""
    next: str = ""


async def triage_failures(
    archives: Sequence[FailureArchive], mute: Sequence[RunArchive], query: RunQuery, limit: int, deadline: Deadline
) -> Triage:
    """Up to `limit` causes in the query's window (its `since` is set). `mute` hold runs but list no failures.

    Raises:
        LabError: every service failed; the most telling error.
    """
    window = Window.of(query)
    collected = await collect_failures(archives, query, window, deadline)
    data = compare(collected, window, one_station=bool(query.station))
    shown = choose_causes(data.causes, limit)
    data.passes = await collect_passes(archives, query, window, shown, deadline)
    verdicts = {cause: classify(data.classification_input(cause)) for cause in shown}
    return render(data, verdicts, mute)


def render(data: TriageData, verdicts: Mapping[Cause, Verdict], mute: Sequence[RunArchive]) -> Triage:
    """The result with as many of the causes that have a verdict as it may cost; `mute` services list no failures."""
    silent = [
        TriageShare(service=a.name, error=f"Cannot list failures of many runs. list_runs(service={a.name}) shows runs.")
        for a in mute
    ]
    whole = Triage(
        totals=_totals(data),
        groups=[_group(cause, verdict, data) for cause, verdict in verdicts.items()],
        services=[*map(_share, data.services), *silent],
        note=_note(data, mute),
        next="explain_failure(run_id) tells more of one." if verdicts else "",
    )
    return _fit(whole, list(verdicts), data)


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


def _group(cause: Cause, verdict: Verdict, data: TriageData) -> CauseGroup:
    failures = data.causes[cause]
    newest, oldest = failures[0].run, failures[-1].run
    units = sorted({f.run.unit for f in failures if f.run.unit})
    stations = sorted({f.run.station for f in failures if f.run.station})
    return CauseGroup(
        service=cause.service,
        test=shorten(cause.test, TEST_CHARS),
        case="" if cause.case == cause.test else shorten(cause.case, TEST_CHARS),
        reason=shorten(" ".join(failures[0].reason.split()), REASON_CHARS),
        class_=verdict.class_,
        evidence=_evidence(verdict, cause, data),
        failures=len(failures),
        runs=len({f.run.run_id for f in failures}),
        units=len(units),
        unit_names=_few(units),
        stations=len(stations),
        station_names=_few(stations),
        first_seen=oldest.started_at,
        last_seen=newest.started_at,
        new=data.is_new(cause),
        run_id=newest.run_id,
    )


def _evidence(verdict: Verdict, cause: Cause, data: TriageData) -> str:
    """The verdict's, and when a cause was last seen that the window before does not have, but an older time does."""
    earlier = data.earlier.get(cause, [])
    if not earlier or not data.is_new(cause):
        return verdict.evidence
    return f"{verdict.evidence} Seen earlier, too: last on {iso(earlier[0].run.started_at)[:10]}."


def _share(collected: Collected) -> TriageShare:
    now, failures = collected.now, collected.failures
    if isinstance(now, LabError):
        return TriageShare(service=collected.service, error=short_error(now))
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
    if unsure := [c.service for c, _ in answered if not c.is_complete(data.window.before)]:
        parts.append(f"Of {', '.join(unsure)} the window before was not read whole: what is `new` may be older.")
    if partial := [c.service for c, now in answered if now.more or now.unread]:
        parts.append(f"Of {', '.join(partial)} not all was read (at_least, unread): narrow since or test.")
    if data.passes:
        parts.append(f"Evidence goes by runs since {iso(data.window.compared_since)[:10]}.")
    if cut := sum(passes is not None and passes.cut for passes in data.passes.values()):
        parts.append(f"For {tally(cut, 'test')} by the newest {MAX_PASSED_RUNS} passes only, to bound the requests.")
    if unread := sum(passes is None for passes in data.passes.values()):
        parts.append(f"For {tally(unread, 'test')} passes could not be read.")
    return " ".join(parts)


def _fit(whole: Triage, shown: Sequence[Cause], data: TriageData) -> Triage:
    """As many of the groups as a result may cost, and what is not shown."""
    groups = _affordable(whole)
    kept = shown[: len(groups)]
    rest = {cause: failures for cause, failures in data.causes.items() if cause not in kept}
    if not rest:
        return whole
    messages = {(cause.service, cause.message) for cause in kept}
    alike = sum(bool(cause.message) and (cause.service, cause.message) in messages for cause in rest)
    failures = sum(map(len, rest.values()))
    said = f"Not shown: {tally(len(rest), 'cause')} with {tally(failures, 'failure')}"
    said += f", {alike} of them with the message of one shown" if alike else ""
    room = ", or raise limit" if len(kept) == len(shown) else ""
    said += f"; narrow service, test, station, since or until{room}."
    return whole.model_copy(update={"groups": groups, "note": f"{said} {whole.note}".strip()})


def _affordable(whole: Triage) -> list[CauseGroup]:
    left = MAX_TOKENS - estimate_result(whole.model_copy(update={"groups": []})) - 80
    kept: list[CauseGroup] = []
    for group in whole.groups:
        left -= estimate_result(group)
        if left < 0 and kept:
            break
        kept.append(group)
    return kept


def _few(names: list[str]) -> list[str]:
    return [shorten(name, NAME_CHARS) for name in names] if len(names) <= MAX_NAMES else []
