"""Tools that compute figures over many runs, from the archive of history. Charts, and the comparison of revisions, are
imported by the calls that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite, nan
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from testlab_tools.archive.archive import History, ServiceHistory, open_history
from testlab_tools.capabilities import HistoryFeed, JobRunner, NodeInventory, RunArchive
from testlab_tools.errors import BadInput, Refused
from testlab_tools.fanout import ask_all, gather_all
from testlab_tools.late_module import LateModule
from testlab_tools.models.results import RunDetail
from testlab_tools.registry import LOOK, Call, Illustrated, tool
from testlab_tools.times import parse_span
from testlab_tools.tools.arguments import AnyOutcome, Since, Until
from testlab_tools.tools.illustration import SaveTo, find_target, illustrate

if TYPE_CHECKING:
    from testlab_tools.statistics import (
        answer,
        grouping,
        measurement_answer,
        measurement_ranking,
        measurements,
        run_comparison,
        selection,
        summary,
    )
    from testlab_tools.statistics import flakiness as flaky
else:
    answer = LateModule("testlab_tools.statistics.answer")
    flaky = LateModule("testlab_tools.statistics.flakiness")
    grouping = LateModule("testlab_tools.statistics.grouping")
    measurement_answer = LateModule("testlab_tools.statistics.measurement_answer")
    measurement_ranking = LateModule("testlab_tools.statistics.measurement_ranking")
    measurements = LateModule("testlab_tools.statistics.measurements")
    run_comparison = LateModule("testlab_tools.statistics.run_comparison")
    selection = LateModule("testlab_tools.statistics.selection")
    summary = LateModule("testlab_tools.statistics.summary")

Rows = Annotated[int, Field(ge=0, le=200)]
Limit = Annotated[str, Field(coerce_numbers_to_str=True)]
Compared = Annotated[str, Field(min_length=1, description="Run handle, or revision:<SHA or version>")]
REVISION = "revision:"
TRIES = 4
MAX_READ = 3
"""Tests whose newest run is read for the names of its measurements."""


@tool(toolset="statistics", access="observe", needs=HistoryFeed, hints=LOOK)
async def summarize_runs(
    call: Call,
    metric: Annotated[answer.Metric, Field(description="runs: counts, pass rate; failures: Pareto")],
    group_by: Annotated[grouping.By, Field(description="case, measurement, reason: of failures")] = "",
    attempts: Annotated[selection.Attempts, Field(description="Of failures: a unit's runs")] = "every",
    service: str = "",
    outcome: AnyOutcome = "",
    unit: str = "",
    part: str = "",
    test: str = "",
    station: str = "",
    batch: str = "",
    revision: str = "",
    since: Since = "30d",
    until: Until = "",
    limit: Rows = 20,
    chart: bool = False,
    save_to: SaveTo = "",
) -> Illustrated[answer.RunSummary]:
    """Get figures of many runs: counts, yields, retests, failure Pareto, throughput, duration; in all and by group,
    with n, 95 % interval and the groups that are shown to differ (`differs`).

    No runs: list_runs.
    """
    order, target = summary.SummaryOrder(metric, group_by, attempts, limit), None
    if chart or save_to:
        from testlab_tools.statistics.summary_chart import check_drawable

        check_drawable(order, outcome)
        target = find_target(call, save_to)
    whole = metric in answer.OF_UNITS or attempts != "every"
    runs, history = await _open(call, service, since, until, whole)
    named = {"part": part, "test": test, "station": station, "batch": batch, "revision": revision}
    runs = await _resolve(call, history, replace(runs, unit=unit, outcome=outcome), named)
    if metric == "failures" and group_by == "measurement":
        if not test:
            raise BadInput("A Pareto by measurement needs test", "Measurements are read test by test", "Give test.")
        history = await _open_measured(call, history, runs, "")
    found = await summary.summarize(history.view, runs, order)
    found.services = await _shares(history, runs)
    found.note += _say_older(history, found.services) if whole else ""
    if not (chart or save_to):
        return Illustrated(found)
    from testlab_tools.statistics.summary_chart import MAX_SHOWN, draw_summary

    every = found
    if len(found.rows) < found.groups:
        every = await summary.summarize(history.view, runs, replace(order, limit=MAX_SHOWN))
    return await illustrate(call, found, await draw_summary(every, order, runs, runs.zone), target)


@tool(toolset="statistics", access="observe", needs=HistoryFeed, hints=LOOK, title="Measurement statistics")
async def measurement_stats(
    call: Call,
    test: Annotated[str, Field(min_length=1)],
    measurement: str = "",
    case: str = "",
    lower: Limit = "",
    upper: Limit = "",
    group_by: measurements.MeasuredBy = "station",
    attempts: selection.Attempts = "first",
    service: str = "",
    station: str = "",
    part: str = "",
    batch: str = "",
    revision: str = "",
    since: Since = "30d",
    until: Until = "",
    limit: Rows = 20,
    chart: answer.MeasurementChart = "",
    save_to: str = "",
) -> Illustrated[measurement_answer.MeasurementStats]:
    """Get one measurement over many runs, or all, ranked: spread, Cpk, drift, marginal passes, groups that differ,
    yield under other limits.

    No single values: get_run.
    """
    target = find_target(call, save_to) if chart or save_to else None
    low, high = _number(lower, "lower"), _number(upper, "upper")
    if not measurement and (chart or save_to or lower or upper):
        raise BadInput("A chart and other limits are of one measurement", "", "Give measurement.")
    if low is not None and high is not None and low >= high:
        raise BadInput("lower is not below upper", "", "Swap or correct them.")
    runs, history = await _open(call, service, since, until, attempts != "every")
    named = {"part": part, "test": test, "station": station, "batch": batch, "revision": revision}
    runs = await _resolve(call, history, runs, named)
    name = selection.match_name(measurement, await _measurement_names(call, history, runs)) if measurement else ""
    history = await _open_measured(call, history, runs, name)
    order = measurements.MeasurementOrder(name, case, attempts, group_by, low, high, limit)
    describe = measurements.describe_measurement if measurement else measurement_ranking.rank_measurements
    found = await describe(history.view, runs, order)
    found.services = await _shares(history, runs, measured=True)
    if not (chart or save_to):
        return Illustrated(found)
    from testlab_tools.statistics.measurement_chart import draw_measurement

    drawn = await draw_measurement(history.view, runs, order, found, chart)
    return await illustrate(call, found, drawn, target)


@tool(toolset="statistics", access="observe", needs=JobRunner, hints=LOOK, title="Find flaky tests")
async def flakiness(
    call: Call,
    test: Annotated[str, Field(description="Empty: all that fail")] = "",
    service: str = "",
    station: str = "",
    revision: str = "",
    since: Since = "",
    until: Until = "",
    limit: Rows = 20,
    chart: bool = False,
    save_to: SaveTo = "",
) -> Illustrated[flaky.Flakiness]:
    """Get which test cases are broken, bound to a node, or flaky: pass rate with 95 % interval, since which run and
    between which revisions it changed, how many more runs would tell.

    Production tests: summarize_runs.
    """
    target = find_target(call, save_to) if chart or save_to else None
    farms = [farm.name for farm in call.lab.offering(JobRunner, service)]
    runs, history = await _open(call, farms[0] if len(farms) == 1 else service, since, until)
    named = {"test": test, "station": station, "revision": revision}
    runs = await _resolve(call, history, replace(runs, services=farms), named)
    found = await flaky.find_flaky(history.view, runs, limit, detailed=len(runs.names.get("test", ())) == 1)
    found.services = await _shares(history, runs)
    if not (chart or save_to):
        return Illustrated(found)
    from testlab_tools.statistics.flakiness_chart import draw_flakiness

    return await illustrate(call, found, await draw_flakiness(history.view, runs, found), target)


@tool(toolset="statistics", access="observe", needs=RunArchive, hints=LOOK)
async def compare_runs(
    call: Call,
    a: Compared,
    b: Compared,
    test: Annotated[str, Field(description="Of revisions")] = "",
    service: str = "",
    since: Since = "",
    until: Until = "",
    limit: Rows = 20,
    chart: bool = False,
    save_to: SaveTo = "",
) -> Illustrated[run_comparison.RunComparison]:
    """Get what differs between two runs (cases, measurements, durations), or before and after a revision of the test
    pack or procedure (pass rate and duration by test, with 95 % interval).
    """
    if a.startswith(REVISION) != b.startswith(REVISION):
        raise BadInput("a and b are of two sorts", "", "Give two run handles, or revision:… twice.")
    target = find_target(call, save_to) if chart or save_to else None
    if not a.startswith(REVISION):
        before, after = await gather_all(_read_run(call, a), _read_run(call, b))
        found = run_comparison.compare_two_runs(before, after)
        if not (chart or save_to):
            return Illustrated(found)
        from testlab_tools.statistics.comparison_chart import draw_two_runs

        return await illustrate(call, found, await draw_two_runs(found, before, after), target)
    from testlab_tools.statistics.revision_comparison import compare_revisions, of_revision

    runs, history = await _open(call, service, since, until, whole=True)
    runs = await _resolve(call, history, runs, {"test": test})
    sides: list[selection.RunFilter] = []
    for name in (a, b):
        resolved = await _resolve(call, history, runs, {"revision": name.removeprefix(REVISION).strip()})
        sides.append(of_revision(runs, resolved.names["revision"]))
    if both := set(sides[0].names["revision"]) & set(sides[1].names["revision"]):
        raise BadInput(
            f"a and b have {len(both)} of their revisions in common",
            "A part of a name means all revisions that have it",
            "Give whole names.",
        )
    compared = await compare_revisions(history.view, sides[0], sides[1])
    runs = of_revision(runs, [name for side in sides for name in side.names["revision"]])
    found = run_comparison.RunComparison(
        a=a, b=b, sides=compared.sides, tests=compared.tests[:limit], note=compared.note
    )
    if len(compared.tests) > limit:
        found.note += f" {limit} of {len(compared.tests)} tests are shown (limit)."
    found.services = await _shares(history, runs)
    if not (chart or save_to):
        return Illustrated(found)
    from testlab_tools.statistics.comparison_chart import draw_revisions

    return await illustrate(call, found, await draw_revisions(compared, runs), target)


async def _open(
    call: Call, service: str, since: str, until: str, whole: bool = False
) -> tuple[selection.RunFilter, History]:
    """The filter for a span, and the history as far as it needs: `whole` for what earlier runs decide."""
    zone = call.lab.archive.timezone if call.lab.archive else "UTC"
    begin, end = parse_span(since, until, zone)
    history = await open_history(call, service, None if whole else begin)
    for _ in range(TRIES):  # what another call or process reads now is there when it has
        if any(share.runs or not share.busy for share in history.freshness):
            break
        history = await open_history(call, service, None if whole else begin)
    names = [share.service for share in history.freshness]
    return selection.RunFilter(names, since=begin, until=end, zone=zone), history


async def _resolve(
    call: Call, history: History, runs: selection.RunFilter, asked: Mapping[str, str]
) -> selection.RunFilter:
    """The filter for the names that are meant. A station that the caller has no part in is refused as one."""
    named = {**asked, "station": call.lab.native(asked.get("station", ""))}
    if named["station"] and not await selection.has_name(history.view, runs, "station", named["station"]):
        farms = [
            one for one in call.lab.services.values() if isinstance(one, NodeInventory) and one.name in runs.services
        ]
        answers = await ask_all(farms, lambda farm: farm.get_node(named["station"]))
        if refused := next((error for error in answers.failed.values() if isinstance(error, Refused)), None):
            raise refused
    unread = ", ".join(share.service for share in history.freshness if not share.complete and not share.cannot)
    return await selection.resolve_names(
        history.view, runs, named, f"Not all of {unread} is read yet" if unread else ""
    )


async def _open_measured(call: Call, history: History, runs: selection.RunFilter, name: str) -> History:
    """The history with the measurements of that name, or of any, of the tests that the filter names."""
    tests = runs.names["test"]
    having = await selection.services_with(history.view, runs)
    service = having[0] if len(having) == 1 else ""
    return await open_history(call, service, runs.since, [(test, name) for test in tests])


async def _measurement_names(call: Call, history: History, runs: selection.RunFilter) -> list[str]:
    """Names of measurements of the tests, as the newest run of each has them."""

    async def read(handle: str) -> list[str]:
        detail = await _read_run(call, handle)
        return [measured.name for case in detail.cases for measured in case.measurements]

    found = await gather_all(*map(read, await selection.newest_runs(history.view, runs, MAX_READ)))
    return list(dict.fromkeys(name for names in found for name in names))


async def _read_run(call: Call, handle: str) -> RunDetail:
    archive, native = call.lab.run_owner(handle, RunArchive)
    return await archive.get_run(native)


async def _shares(history: History, runs: selection.RunFilter, measured: bool = False) -> list[answer.HistoryShare]:
    """What is held of each service that has such runs, or could not be read; `measured`: whether measurements count."""
    having = await selection.services_with(history.view, runs)
    return [
        answer.HistoryShare(
            service=share.service,
            runs=share.runs,
            held_since=share.held_since,
            fresh_at=share.fresh_at,
            measured_since=share.measured_since,
            partial=share.runs > 0 and not share.covers(runs.since),
            cannot=share.cannot if measured or not share.runs else "",
            error=share.error,
            note=" ".join(
                filter(None, [share.note, share.left_out, "" if share.covers(runs.since) else _what_is_missing(share)])
            ),
        )
        for share in history.freshness
        if share.service in having or not having or share.error or not share.runs
    ]


def _what_is_missing(share: ServiceHistory) -> str:
    """Why a span is held in part."""
    if not share.runs or share.error:
        return ""
    if share.complete and share.cut and share.measured_since is None:
        return "Older runs are not kept ([archive] max_age_days)."
    return "More is read with each call; `testlab-mcp sync` reads all."


def _say_older(history: History, shown: Sequence[answer.HistoryShare]) -> str:
    """What is to be said where a unit's first run may not be held."""
    names = {share.service for share in shown}
    cut = [one.service for one in history.freshness if one.runs and one.service in names and not one.covers(None)]
    return f" A unit's first run may be older than what is held of {', '.join(cut)}." if cut else ""


def _number(text: str, argument: str) -> float | None:
    try:
        number = float(text) if text.strip() else None
    except ValueError:
        number = nan
    if number is not None and not isfinite(number):
        raise BadInput(f"{argument} is not a number", "", "Give a limit such as 4.9.")
    return number
