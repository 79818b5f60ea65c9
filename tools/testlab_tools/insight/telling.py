"""What was found, in the words of the result."""

from __future__ import annotations

from testlab_tools.capabilities import Failures
from testlab_tools.errors import LabError, ServiceError
from testlab_tools.insight.causes import Cause
from testlab_tools.insight.classes import judged
from testlab_tools.insight.findings import Findings
from testlab_tools.insight.gathering import COMPARED_RUNS, Gathered
from testlab_tools.insight.nouns import CauseGroup, TriageShare
from testlab_tools.times import iso
from testlab_tools.untrusted import capped

NAMES = 3
"""Units and stations are named up to so many, and counted beyond."""

NAME_CHARS = 48
TEST_CHARS = 120
REASON_CHARS = 140


def group(cause: Cause, found: Findings) -> CauseGroup:
    """One cause with its counts, class and newest run."""
    same = found.causes[cause]
    newest, oldest = same[0].run, same[-1].run
    verdict = judged(found.facts(cause))
    units = sorted({f.run.unit for f in same if f.run.unit})
    stations = sorted({f.run.station for f in same if f.run.station})
    return CauseGroup(
        service=cause.service,
        test=capped(cause.test, TEST_CHARS),
        case="" if cause.case == cause.test else capped(cause.case, TEST_CHARS),
        reason=capped(" ".join(same[0].reason.split()), REASON_CHARS),
        class_=verdict.class_,
        evidence=_with_past(verdict.evidence, cause, found),
        failures=len(same),
        runs=len({f.run.run_id for f in same}),
        units=len(units),
        unit_names=_few(units),
        stations=len(stations),
        station_names=_few(stations),
        first_seen=oldest.started_at,
        last_seen=newest.started_at,
        new=found.new(cause),
        run_id=newest.run_id,
    )


def share(found: Findings) -> list[TriageShare]:
    """What each service gave, or why it gave nothing."""
    mute = [
        TriageShare(service=a.name, error=f"Cannot list failures of many runs. list_runs(service={a.name}) shows runs.")
        for a in found.mute
    ]
    return [*map(_share, found.told), *mute]


def note(found: Findings) -> str:
    """What the reader must know besides the numbers."""
    parts: list[str] = []
    answered = [g for g in found.told if isinstance(g.now, Failures)]
    silent = [g.archive.name for g in found.told if isinstance(g.now, LabError)] + [a.name for a in found.mute]
    if silent:
        parts.append(f"Nothing of {', '.join(silent)} is in this (see services).")
    if samples := sum(g.samples for g in found.told):
        parts.append(f"Not counted: {samples} failures of golden, failing and ignored samples.")
    if unsure := [g.archive.name for g in answered if not g.told_whole(found.before)]:
        parts.append(f"Of {', '.join(unsure)} the window before was not read whole: what is `new` may be older.")
    if partial := [g.archive.name for g in answered if isinstance(g.now, Failures) and (g.now.more or g.now.unread)]:
        parts.append(f"Of {', '.join(partial)} not all was read (at_least, unread): narrow since or test.")
    return " ".join([*parts, *_compared(found)])


def _compared(found: Findings) -> list[str]:
    if not found.passes:
        return []
    parts = [f"Evidence goes by runs since {iso(found.compared_since)[:10]}."]
    if cut := sum(answer is not None and answer.cut for answer in found.passes.values()):
        parts.append(f"For {_tests(cut)} by the newest {COMPARED_RUNS} passes only, to bound the requests.")
    if unread := sum(answer is None for answer in found.passes.values()):
        parts.append(f"For {_tests(unread)} passes could not be read.")
    return parts


def _share(told: Gathered) -> TriageShare:
    name, now = told.archive.name, told.now
    if isinstance(now, LabError):
        return TriageShare(service=name, error=str(now) if isinstance(now, ServiceError) else now.what)
    runs = len({f.run.run_id for f in told.failures})
    return TriageShare(service=name, failures=len(told.failures), runs=runs, at_least=now.more, unread=now.unread)


def _with_past(evidence: str, cause: Cause, found: Findings) -> str:
    """A cause that the window before does not have may still be an old one."""
    seen = found.earlier.get(cause, [])
    return (
        f"{evidence} Seen earlier, too: last on {iso(seen[0].run.started_at)[:10]}."
        if seen and found.new(cause)
        else evidence
    )


def _tests(count: int) -> str:
    return f"{count} test{'' if count == 1 else 's'}"


def _few(names: list[str]) -> list[str]:
    return [capped(name, NAME_CHARS) for name in names] if len(names) <= NAMES else []
