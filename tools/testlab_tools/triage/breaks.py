"""When a test broke: its last pass, and the first failure after it, looked for before the window too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from testlab_tools.capabilities import RunArchive
from testlab_tools.deadline import Deadline
from testlab_tools.fanout import ask_all, gather_all
from testlab_tools.models.lab import ResultModel, Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.times import EARLIEST, Moment
from testlab_tools.triage.causes import Cause, normalise, normalise_but_quotes
from testlab_tools.triage.compare import TriageData
from testlab_tools.triage.conclude import Verdict
from testlab_tools.untrusted import Untrusted, shorten

LOOK_BACK = timedelta(days=90)
"""How long before a failure the last pass is looked for."""

MAX_ASKED = 10
"""For how many causes of an answer services are asked once more."""

MAX_PASSES = 20
MAX_FAILURES = 100
REVISION_CHARS = 40
_SHA = re.compile(r"[0-9a-f]{40}")


class RunMark(ResultModel):
    """A run as a point in time; `revision` of the test pack or procedure."""

    run_id: str
    started_at: Moment
    revision: Untrusted = ""


class Break(ResultModel):
    """The test's last pass before it failed, and the first failure after that pass: of a cause, with its message; of a
    run, with any. `note` says where they were looked for, and how far back."""

    last_pass: RunMark | None = None
    first_failure: RunMark | None = None
    note: str = ""


async def find_break(
    archive: RunArchive, query: RunQuery, moment: datetime, cause: Cause | None = None, known: Run | None = None
) -> Break:
    """When what failed at a moment broke: of the runs that match the query, whose test must be given in full.

    Of a `cause`, only failures with its message count, and `known` is the first one that is known: rows of some
    services have no message.

    Raises:
        Unsupported: the archive cannot list runs by test.
    """
    begin = moment - min(LOOK_BACK, moment - EARLIEST)
    passes = await archive.list_runs(replace(query, outcome="pass", since=begin, until=moment), MAX_PASSES)
    passed = next((run for run in passes.runs if run.test == query.test), None)
    since = passed.started_at if passed else begin
    later = replace(query, outcome="", since=since, until=moment + timedelta(seconds=1), oldest_first=True)
    runs = (await archive.list_runs(later, MAX_FAILURES)).runs
    failures = [run for run in runs if run.test == query.test and run.outcome in ("fail", "error")]
    fits = (run for run in failures if passed is None or run.started_at > since)
    failed = next((run for run in fits if cause is None or _has_message(run, cause)), None)
    notes = [] if passed else [f"No pass in the {LOOK_BACK.days} days before."]
    if failed is None and known is not None:
        notes.append("Perhaps earlier: first_failure is the first that was read with its message.")
    return make_break(passed, failed or known, " ".join(notes))


def _has_message(run: Run, cause: Cause) -> bool:
    return cause.message in (normalise(run.reason), normalise_but_quotes(run.reason))


def make_break(passed: Run | None, failed: Run | None, note: str = "") -> Break:
    """The result, from the runs."""
    return Break(last_pass=_mark(passed), first_failure=_mark(failed), note=note)


async def collect_breaks(
    archives: Sequence[RunArchive],
    query: RunQuery,
    data: TriageData,
    verdicts: Mapping[Cause, Verdict],
    deadline: Deadline,
) -> dict[Cause, Break | None]:
    """When causes broke whose test has failed each time since; None for those that were not looked up."""
    services = {archive.name: archive for archive in archives}
    found: dict[Cause, Break | None] = {}
    asked: dict[Cause, tuple[RunQuery, datetime, Run]] = {}
    for cause, verdict in verdicts.items():
        if verdict.class_ == "flaky" or not data.unmixed or (scope := _scope(data, cause)) is None:
            continue
        station, passes = scope
        test, newest = data.compared_tests(cause)[0], data.causes[cause][0].run.started_at
        note = "At its station; others pass." if station else ""
        own = [f.run for f in (*data.causes[cause], *data.earlier.get(cause, [])) if f.run.test == test]
        own = sorted((run for run in own if station in ("", run.station)), key=lambda run: run.started_at)
        if passes:
            passed = max(passes, key=lambda run: run.started_at)
            first = next((run for run in own if run.started_at > passed.started_at), None)
            found[cause] = make_break(passed, first, note)
        else:
            found[cause] = None
            asked[cause] = (replace(query, test=test, station=station or query.station), newest, own[0])
    few = list(asked.items())[:MAX_ASKED]
    answers = await gather_all(
        *(_ask(services[cause.service], cause, *one, deadline.remaining()) for cause, one in few)
    )
    return found | dict(zip((cause for cause, _ in few), answers, strict=True))


async def _ask(
    archive: RunArchive, cause: Cause, query: RunQuery, moment: datetime, known: Run, seconds: float
) -> Break | None:
    answers = await ask_all([archive], lambda a: find_break(a, query, moment, cause, known), seconds)
    return answers.given.get(archive.name)


def _scope(data: TriageData, cause: Cause) -> tuple[str, list[Run]] | None:
    """The station that a cause is confined to, or none, and the passes there, all before it; None where the test has
    passed there since, it failed once, or passes were not read."""
    failures = [*data.causes[cause], *data.earlier.get(cause, [])]
    known = data.passes.get((cause.service, data.compared_tests(cause)[0]))
    if known is None or len({f.run.run_id for f in failures}) == 1:
        return None
    oldest = data.causes[cause][-1].run.started_at
    stations = {f.run.station for f in data.causes[cause]}
    since = [run for run in known.runs if run.started_at > oldest]
    if not since:
        return "", known.runs
    if len(stations) > 1 or "" in stations or any(run.station in stations for run in since):
        return None
    (station,) = stations
    return station, [run for run in known.runs if run.station == station]


def _mark(run: Run | None) -> RunMark | None:
    if run is None:
        return None
    revision = run.revision[:12] if _SHA.fullmatch(run.revision) else shorten(run.revision, REVISION_CHARS)
    return RunMark(run_id=run.run_id, started_at=run.started_at, revision=revision)
