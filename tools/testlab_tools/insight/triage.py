"""Triage: failures over all services by cause, the newest in full, and what is not shown said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from testlab_tools.capabilities import Failure, FailureArchive, RunArchive
from testlab_tools.errors import LabError, ServiceError
from testlab_tools.insight.causes import Cause, grouped
from testlab_tools.insight.faults import fault_of
from testlab_tools.insight.findings import Findings, earlier_by
from testlab_tools.insight.gathering import Gathered, gathered, passes
from testlab_tools.insight.nouns import CauseGroup, Triage, TriageTotals
from testlab_tools.insight.telling import group, note, share
from testlab_tools.insight.tokens import cost
from testlab_tools.questions import RunQuery

LEAST_COMPARED = timedelta(days=7)
"""Passes and failures are compared from at least so long before the window on: a nightly run is one a day."""

CALL_S = 44.0
LEAST_S = 4.0
"""What the comparison may take, however long the failures took."""

TOKENS = 3_900
"""By our own count; the answer's bound is 4,000 of o200k's, the names of its untrusted fields included."""


async def triaged(
    archives: Sequence[FailureArchive], mute: Sequence[RunArchive], query: RunQuery, limit: int
) -> Triage:
    """Up to `limit` causes in the query's window (its `since` is set). `mute` hold runs but list no failures.

    Raises:
        LabError: no service told anything; that of a service in trouble before one that cannot be asked so.
    """
    clock = asyncio.get_running_loop().time
    begun = clock()
    found = _findings(await _told(archives, query), mute, query)
    shown = _chosen(found.causes, limit)
    services = {archive.name: archive for archive in archives}
    asked = list(dict.fromkeys((services[cause.service], cause.test) for cause in shown))
    left = max(LEAST_S, CALL_S - (clock() - begun))
    found.passes = await passes(asked, query, found.compared_since, left)
    whole = Triage(
        totals=_totals(found),
        groups=[group(cause, found) for cause in shown],
        services=share(found),
        note=note(found),
        next="explain_failure(run_id) tells more of one." if shown else "",
    )
    return _fitting(whole, shown, found.causes)


async def _told(archives: Sequence[FailureArchive], query: RunQuery) -> list[Gathered]:
    told = await gathered(archives, query, _compared_since(*_window(query)))
    errors = [g.now for g in told if isinstance(g.now, LabError)]
    if len(errors) == len(told):
        raise next((error for error in errors if isinstance(error, ServiceError)), errors[0])
    return told


def _findings(told: list[Gathered], mute: Sequence[RunArchive], query: RunQuery) -> Findings:
    since, until = _window(query)
    return Findings(
        since=since,
        until=until,
        compared_since=_compared_since(since, until),
        told=told,
        mute=list(mute),
        causes=grouped({g.archive.name: g.failures for g in told}),
        earlier=grouped({g.archive.name: g.earlier for g in told}),
        one_station=bool(query.station),
    )


def _window(query: RunQuery) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return query.since or now, query.until or now


def _compared_since(since: datetime, until: datetime) -> datetime:
    return earlier_by(max(until - since, LEAST_COMPARED), since)


def _totals(found: Findings) -> TriageTotals:
    return TriageTotals(
        since=found.since,
        until=found.until,
        failures=sum(len(same) for same in found.causes.values()),
        runs=len({f.run.run_id for same in found.causes.values() for f in same}),
        causes=len(found.causes),
        new=sum(found.new(cause) for cause in found.causes),
        samples=sum(g.samples for g in found.told),
        stopped=sum(g.stopped for g in found.told),
    )


def _chosen(causes: dict[Cause, list[Failure]], limit: int) -> list[Cause]:
    """The newest causes. Where not all have room, a fault of the equipment takes one place, however many cases of a
    service it struck at the same stations."""
    if len(causes) <= limit:
        return list(causes)
    struck: set[tuple[str, str, frozenset[str]]] = set()
    chosen: list[Cause] = []
    for cause, same in causes.items():
        fault = (cause.service, fault_of(same[0]), frozenset(f.run.station for f in same))
        if not fault[1] or fault not in struck:
            chosen.append(cause)
        struck.add(fault)
    return chosen[:limit]


def _fitting(whole: Triage, shown: list[Cause], causes: dict[Cause, list[Failure]]) -> Triage:
    """As many of the groups as a result may cost, and what is not shown."""
    kept = _affordable(whole)
    rest = {cause: same for cause, same in causes.items() if cause not in shown[: len(kept)]}
    if not rest:
        return whole
    messages = {(cause.service, cause.message) for cause in shown[: len(kept)]}
    alike = sum((cause.service, cause.message) in messages for cause in rest)
    count, causes_ = sum(len(same) for same in rest.values()), f"cause{'' if len(rest) == 1 else 's'}"
    said = f"Not shown: {len(rest)} {causes_} with {count} failure{'' if count == 1 else 's'}"
    said += f", {alike} of them with the message of one shown" if alike else ""
    room = ", or raise limit" if len(kept) == len(shown) else ""
    said += f"; narrow service, test, station, since or until{room}."
    return whole.model_copy(update={"groups": kept, "note": f"{said} {whole.note}".strip()})


def _affordable(whole: Triage) -> list[CauseGroup]:
    left = TOKENS - cost(whole.model_copy(update={"groups": []})) - 80
    kept: list[CauseGroup] = []
    for one in whole.groups:
        left -= cost(one)
        if left < 0 and kept:
            break
        kept.append(one)
    return kept
