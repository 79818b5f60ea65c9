"""Tools about failures: one run, explained from all that is known around it."""

from __future__ import annotations

from testlab_tools.capabilities import JobRunner, RunArchive, UnitArchive
from testlab_tools.catalog.arguments import RunId
from testlab_tools.errors import BadInput, NotFound
from testlab_tools.insight.explanation import ExplainedRun, Explanation, fitted
from testlab_tools.insight.parts import Investigation
from testlab_tools.models import Run
from testlab_tools.records import RunDetail
from testlab_tools.registry import LOOK, Call, Illustrated, tool


@tool(toolset="insight", access="observe", needs=RunArchive, hints=LOOK)
async def explain_failure(call: Call, run_id: RunId) -> Illustrated[Explanation]:
    """Explain a failed run: steps, log, unit's history, same failure elsewhere, screenshot.

    For jobs: get_failed_cases.
    """
    archive, native = call.lab.owner(run_id, RunArchive, lambda archive, run: archive.owns_run(run))
    detail = await _detail(archive, native)
    if detail.run.outcome in ("pass", "running"):
        return Illustrated(_nothing(detail.run))
    units = [service for service in call.lab.services.values() if isinstance(service, UnitArchive)]
    investigation = Investigation(archive, native, detail, units)
    await investigation.run()
    return Illustrated(fitted(investigation.found), investigation.image)


async def _detail(archive: RunArchive, native: str) -> RunDetail:
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


def _nothing(run: Run) -> Explanation:
    note = "The run is not over yet." if run.outcome == "running" else "The run passed: there is nothing to explain."
    known = ExplainedRun(**run.model_dump(include=set(Run.model_fields)))
    return Explanation(run=known, note=note)
