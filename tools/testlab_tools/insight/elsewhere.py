"""The same failure in other runs of the same test: on other units, stations and revisions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from testlab_tools.capabilities import Failure, FailureArchive, Failures, RunArchive
from testlab_tools.insight.causes import normalised
from testlab_tools.models import Case, Noun, Run
from testlab_tools.questions import RunQuery
from testlab_tools.times import Moment

AROUND = timedelta(days=14)
MOST_RUNS = 200
HANDLES = 3
READ = 12
"""How many runs are read one by one, where a service lists them without saying what failed."""

_Mark = tuple[str, str]
_MUTE: _Mark = ("", "")


class Elsewhere(Noun):
    """Of `failed` other runs of the test that did not pass, within two weeks, those `alike`: the same step, and the
    same message but for its numbers. `units`, `stations` and `revisions` count where; `run_ids` are the newest."""

    failed: int
    alike: int
    units: int = 0
    stations: int = 0
    revisions: int = 0
    first_at: Moment | None = None
    last_at: Moment | None = None
    run_ids: list[str] = []
    note: str = ""


async def same_failure(archive: RunArchive, run: Run, cases: Sequence[Case]) -> Elsewhere:
    """What became of the same test around the same time.

    Raises:
        Unsupported: the archive cannot list runs by test.
    """
    query = RunQuery(test=run.test, since=run.started_at - AROUND, until=run.started_at + AROUND)
    listed = await _listed(archive, query)
    named = [f for f in listed.failures if f.run.test.casefold() == run.test.casefold()]
    return counted(named, run, cases, listed.more)


async def _listed(archive: RunArchive, query: RunQuery) -> Failures:
    """Failures with what failed in them; of runs listed without that, the newest READ are read one by one."""
    if isinstance(archive, FailureArchive):
        listed = await archive.list_failures(query, MOST_RUNS)
    else:
        asked = (RunQuery(test=query.test, since=query.since, until=query.until, outcome=o) for o in ("fail", "error"))
        pages = await asyncio.gather(*(archive.list_runs(one, MOST_RUNS // 2) for one in asked))
        runs = [run for page in pages for run in page.runs]
        listed = Failures([Failure(run, "", run.reason) for run in runs], len(runs), any(page.more for page in pages))
    mute = [failure.run for failure in listed.failures if not failure.case and not failure.reason]
    mute.sort(key=lambda run: run.started_at, reverse=True)
    read = await asyncio.gather(*(_read(archive, run) for run in mute[:READ]))
    told = {run.run_id: found for run, found in zip(mute, read, strict=False)}
    return listed._replace(failures=[one for f in listed.failures for one in told.get(f.run.run_id, [f])])


async def _read(archive: RunArchive, run: Run) -> list[Failure]:
    failed = await archive.failures(run.run_id.removeprefix(archive.handle("")))
    return [Failure(run, case.case, case.reason) for one in failed for case in one.cases] or [Failure(run, "", "")]


def counted(failures: Sequence[Failure], run: Run, cases: Sequence[Case], more: bool = False) -> Elsewhere:
    """The failures that are like the run's own. What the list itself says of the run is preferred to `cases`, since
    one service may word a failure differently in its list and in a run."""
    listed = {_mark(f.case, f.reason) for f in failures if f.run.run_id == run.run_id} - {_MUTE}
    own = listed or {_mark(case.case, case.reason or run.reason) for case in cases} or {_mark("", run.reason)}
    others = [f for f in failures if f.run.run_id != run.run_id]
    alike = [f for f in others if _alike(_mark(f.case, f.reason), own)]
    runs = list({f.run.run_id: f.run for f in alike}.values())
    runs.sort(key=lambda one: one.started_at, reverse=True)
    return Elsewhere(
        failed=len({f.run.run_id for f in others}),
        alike=len(runs),
        units=_distinct(one.unit for one in runs),
        stations=_distinct(one.station for one in runs),
        revisions=_distinct(f.revision for f in alike),
        first_at=runs[-1].started_at if runs else None,
        last_at=runs[0].started_at if runs else None,
        run_ids=[one.run_id for one in runs[:HANDLES]],
        note=_note(others, more),
    )


def normal(message: str) -> str:
    """A message's first line without what varies from run to run, as causes are told apart."""
    return normalised(next((line for line in message.splitlines() if line.strip()), ""))


def _mark(case: str, reason: str) -> _Mark:
    return (case.casefold(), normal(reason))


def _alike(mark: _Mark, own: Collection[_Mark]) -> bool:
    """Where one of both does not tell its step, or its message, the other of the two decides."""
    return mark != _MUTE and any(all(a == b or not (a and b) for a, b in zip(mark, one, strict=True)) for one in own)


def _note(others: Sequence[Failure], more: bool) -> str:
    notes = [f"Of the newest {MOST_RUNS} of them: there are more."] if more else []
    if mute := sum(_mark(f.case, f.reason) == _MUTE for f in others):
        notes.append(f"What failed in {mute} of them is not told, or was not read.")
    return " ".join(notes)


def _distinct(names: Iterable[str]) -> int:
    return len({name.casefold() for name in names if name})
