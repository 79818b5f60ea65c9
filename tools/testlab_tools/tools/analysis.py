"""Tools that analyse failures over all services: many by cause, and one in depth."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from testlab_tools.archive.known_runs import use_history
from testlab_tools.capabilities import FailureArchive, JobRunner, RunArchive, UnitArchive
from testlab_tools.errors import BadInput, NotFound
from testlab_tools.late_module import LateModule
from testlab_tools.models.lab import Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail
from testlab_tools.registry import LOOK, Call, Illustrated, tool
from testlab_tools.times import parse_span
from testlab_tools.tools.arguments import RunId

if TYPE_CHECKING:
    from testlab_tools.explain import explanation
    from testlab_tools.triage import breaks, causes, collect, compare, rendering
    from testlab_tools.triage import triage as triaging
else:
    explanation = LateModule("testlab_tools.explain.explanation")
    breaks = LateModule("testlab_tools.triage.breaks")
    causes = LateModule("testlab_tools.triage.causes")
    collect = LateModule("testlab_tools.triage.collect")
    compare = LateModule("testlab_tools.triage.compare")
    rendering = LateModule("testlab_tools.triage.rendering")
    triaging = LateModule("testlab_tools.triage.triage")

HISTORY_SHARE = 0.2
"""Of a call's time, for bringing history up to date before it is asked."""


@tool(toolset="insight", access="observe", needs=FailureArchive, hints=LOOK, title="Triage failures")
async def triage(
    call: Call,
    since: str = "24h",
    until: str = "",
    service: str = "",
    part: str = "",
    unit: str = "",
    test: str = "",
    station: str = "",
    reason: Annotated[str, Field(description="Words in the message")] = "",
    category: str = "",
    user: str = "",
    group_by: causes.GroupBy = "cause",
    sort: compare.Sort = "most",
    limit: Annotated[int, Field(ge=1, le=50)] = 15,
    cursor: str = "",
) -> rendering.Triage:
    """List failures of all services by cause, the most runs first: counts by station, units, when it broke, new or
    not; product, infrastructure, flaky or unclear, with evidence.

    No logs: explain_failure.
    """
    archives = call.lab.offering(FailureArchive, service)
    mute = [a for a in call.lab.services.values() if isinstance(a, RunArchive) and not isinstance(a, FailureArchive)]
    begin, end = parse_span(since, until)
    if begin is None:
        raise BadInput("since is empty", "Failures are compared with those of a window before", "Give 24h, 7d or 30d.")
    if end is None and begin >= datetime.now(UTC):
        raise BadInput(
            "since lies in the future", "Nothing can have failed yet", "Give a time that has passed, or 24h."
        )
    query = RunQuery(
        unit=unit,
        part=part,
        test=test,
        station=call.lab.native(station),
        category=category,
        user=user,
        since=begin,
        until=end,
    )
    asked = [since, until, service, part, unit, test, station, reason, category, user, group_by, sort]
    order = triaging.TriageOrder(reason, group_by, sort, limit, cursor, json.dumps(asked))
    known = await use_history(
        call.lab, archives, collect.Window.of(query).compared_since, call.deadline.share(HISTORY_SHARE)
    )
    return await triaging.triage_failures(known, [] if service else mute, query, order, call.deadline)


@tool(toolset="insight", access="observe", needs=RunArchive, hints=LOOK)
async def explain_failure(call: Call, run_id: RunId) -> Illustrated[explanation.Explanation]:
    """Explain a failed run by what is around it: log, when it broke, unit's history, same failure elsewhere, screen.

    For the failing steps alone, or a job: get_failed_cases.
    """
    archive, native = call.lab.run_owner(run_id, RunArchive)
    detail = await _get_detail(archive, native)
    if detail.run.outcome in ("pass", "running"):
        return Illustrated(_explain_nothing(detail.run))
    units = [service for service in call.lab.services.values() if isinstance(service, UnitArchive)]
    since = detail.run.started_at - breaks.LOOK_BACK
    (known,) = await use_history(call.lab, [archive], since, call.deadline.share(HISTORY_SHARE))
    explained, image = await explanation.explain_run(archive, native, detail, units, known, call.deadline)
    return Illustrated(explained, image)


async def _get_detail(archive: RunArchive, native: str) -> RunDetail:
    """The run. Raises BadInput when the id is a job's."""
    try:
        return await archive.get_run(native)
    except NotFound:
        if not isinstance(archive, JobRunner) or not archive.owns_job(native):
            raise
    try:
        await archive.get_job(native)
    except NotFound:
        return await archive.get_run(native)
    next_step = "get_failed_cases explains all runs of a job that failed; then give the run_id of one."
    raise BadInput("That is the id of a job, not of a run", "", next_step)


def _explain_nothing(run: Run) -> explanation.Explanation:
    note = "The run is not over yet." if run.outcome == "running" else "The run passed: there is nothing to explain."
    known = explanation.ExplainedRun(**run.model_dump(include=set(Run.model_fields)))
    return explanation.Explanation(run=known, note=note)
