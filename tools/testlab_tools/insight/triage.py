"""Triage: failures over all services by cause, the newest in full, and what is not shown said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from testlab_tools.capabilities import Failure, FailureArchive, Failures, RunArchive
from testlab_tools.errors import LabError, ServiceError
from testlab_tools.insight.causes import Cause, grouped
from testlab_tools.insight.classes import Facts, judged
from testlab_tools.insight.gathering import COMPARED_RUNS, Gathered, Passes, gathered, passes
from testlab_tools.insight.nouns import CauseGroup, Triage, TriageShare, TriageTotals
from testlab_tools.insight.size import weight
from testlab_tools.questions import RunQuery
from testlab_tools.times import iso
from testlab_tools.untrusted import capped

LEAST_COMPARED = timedelta(days=7)
"""Passes are looked for at least so long before the window: a nightly run is one a day."""

CALL_S = 44.0
LEAST_S = 4.0
"""What the comparison may take, however long the failures took."""

TOKENS = 3_900
NAMES = 3
NAME_CHARS = 48
TEST_CHARS = 120
REASON_CHARS = 140


async def triaged(
    archives: Sequence[FailureArchive], mute: Sequence[RunArchive], query: RunQuery, limit: int
) -> Triage:
    """Up to `limit` causes in the query's window (its `since` is set). `mute` hold runs but list no failures.

    Raises:
        LabError: no service told anything; that of a service in trouble before one that cannot be asked so.
    """
    begun = asyncio.get_running_loop().time()
    since, until = query.since or datetime.min.replace(tzinfo=UTC), query.until or datetime.now(UTC)
    told = await gathered(archives, query, since - (until - since))
    errors = [g.now for g in told if isinstance(g.now, LabError)]
    if len(errors) == len(told):
        raise next((error for error in errors if isinstance(error, ServiceError)), errors[0])
    causes = grouped({g.archive.name: g.failures for g in told})
    earlier = grouped({g.archive.name: g.earlier for g in told})
    compared_since = min(since - (until - since), since - LEAST_COMPARED)
    services = {g.archive.name: g.archive for g in told}
    asked = list(dict.fromkeys((services[cause.service], cause.test) for cause in list(causes)[:limit]))
    left = max(LEAST_S, CALL_S - (asyncio.get_running_loop().time() - begun))
    found = await passes(asked, query, compared_since, left)
    groups = [
        _group(cause, same, _facts(cause, causes, earlier, found, since), cause not in earlier)
        for cause, same in list(causes.items())[:limit]
    ]
    totals = TriageTotals(
        since=since,
        until=until,
        failures=sum(len(same) for same in causes.values()),
        runs=len({f.run.run_id for same in causes.values() for f in same}),
        causes=len(causes),
        new=sum(cause not in earlier for cause in causes),
        samples=sum(g.samples for g in told),
    )
    whole = Triage(
        totals=totals,
        groups=groups,
        services=[*(_share(g) for g in told), *(_mute_share(archive) for archive in mute)],
        note=_note(told, mute, found, asked, compared_since),
        next="explain_failure(run_id) tells more of one." if groups else "",
    )
    return _fitting(whole, causes)


def _facts(
    cause: Cause,
    causes: dict[Cause, list[Failure]],
    earlier: dict[Cause, list[Failure]],
    found: dict[tuple[str, str], Passes],
    since: datetime,
) -> Facts:
    same = causes[cause]
    stations = {f.run.station for f in same}
    alike = sum(
        other.message == cause.message and other.service == cause.service and other != cause and _touches(fs, stations)
        for other, fs in causes.items()
    )
    compared = found.get((cause.service, cause.test))
    return Facts(
        failures=same,
        before=earlier.get(cause, []),
        passes=None if compared is None else compared.runs,
        cut=compared is not None and compared.cut,
        since=since,
        alike=alike,
    )


def _touches(failures: list[Failure], stations: set[str]) -> bool:
    return any(f.run.station in stations for f in failures)


def _group(cause: Cause, same: list[Failure], facts: Facts, new: bool) -> CauseGroup:
    verdict = judged(facts)
    units = sorted({f.run.unit for f in same if f.run.unit})
    stations = sorted({f.run.station for f in same if f.run.station})
    return CauseGroup(
        service=cause.service,
        test=capped(cause.test, TEST_CHARS),
        case="" if cause.case == cause.test else capped(cause.case, TEST_CHARS),
        reason=capped(" ".join(same[0].reason.split()), REASON_CHARS),
        class_=verdict.class_,
        evidence=verdict.evidence,
        failures=len(same),
        runs=len({f.run.run_id for f in same}),
        units=len(units),
        unit_names=_few(units),
        stations=len(stations),
        station_names=_few(stations),
        first_seen=same[-1].run.started_at,
        last_seen=same[0].run.started_at,
        new=new,
        run_id=same[0].run.run_id,
    )


def _few(names: list[str]) -> list[str]:
    return [capped(name, NAME_CHARS) for name in names] if len(names) <= NAMES else []


def _share(told: Gathered) -> TriageShare:
    name, now = told.archive.name, told.now
    if isinstance(now, Failures):
        count = len(told.failures)
        return TriageShare(service=name, failures=count, runs=now.runs, at_least=now.more, unread=now.unread)
    return TriageShare(service=name, error=str(now) if isinstance(now, ServiceError) else now.what)


def _mute_share(archive: RunArchive) -> TriageShare:
    told = f"Holds runs, but cannot list failures: list_runs(service={archive.name}) may."
    return TriageShare(service=archive.name, error=told)


def _note(
    told: list[Gathered],
    mute: Sequence[RunArchive],
    found: dict[tuple[str, str], Passes],
    asked: Sequence[tuple[RunArchive, str]],
    compared_since: datetime,
) -> str:
    parts: list[str] = []
    if silent := [*(g.archive.name for g in told if isinstance(g.now, LabError)), *(a.name for a in mute)]:
        parts.append(f"Nothing of {', '.join(silent)} is in this (see services).")
    if samples := sum(g.samples for g in told):
        parts.append(f"{samples} failures of golden, failing and ignored samples are left out.")
    if unsure := [g.archive.name for g in told if isinstance(g.now, Failures) and not g.before_whole]:
        parts.append(f"The window before was not read whole of {', '.join(unsure)}: `new` there may be seen before.")
    if any(isinstance(g.now, Failures) and (g.now.more or g.now.unread) for g in told):
        parts.append("Counts are of what was read (see services).")
    if asked:
        parts.append(f"Compared with passes since {iso(compared_since)[:10]}.")
    if cut := sum(answer.cut for answer in found.values()):
        parts.append(f"Of {cut} tests, with the newest {COMPARED_RUNS} passes alone, to bound the requests.")
    return " ".join(parts)


def _fitting(whole: Triage, causes: dict[Cause, list[Failure]]) -> Triage:
    """As many of the groups as a result may cost, and what is not shown."""
    spent = _cost(whole.model_copy(update={"groups": []})) + 120
    kept = 0
    for group in whole.groups:
        spent += _cost(group)
        if spent > TOKENS and kept:
            break
        kept += 1
    rest = list(causes.items())[kept:]
    if not rest:
        return whole
    shown = {(cause.service, cause.message) for cause in list(causes)[:kept]}
    alike = sum((cause.service, cause.message) in shown for cause, _ in rest)
    cut = f"{len(rest)} older causes with {sum(len(same) for _, same in rest)} failures"
    cut += f" ({alike} with the message of one shown)" if alike else ""
    room = ", or raise limit" if kept == len(whole.groups) else ""
    cut += f" are not shown: narrow service, test, station, since or until{room}."
    return whole.model_copy(update={"groups": whole.groups[:kept], "note": f"{cut} {whole.note}".strip()})


def _cost(noun: Triage | CauseGroup) -> int:
    data = noun.model_dump(mode="json", exclude_defaults=True)
    return weight(json.dumps(data, separators=(",", ":"), ensure_ascii=False))
