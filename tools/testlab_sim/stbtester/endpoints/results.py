"""Test results: the list in three forms, the detail, the log, the saved screenshot and the artifacts."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from testlab_sim.routing import Api
from testlab_sim.stbtester.jobs import Run
from testlab_sim.stbtester.large import large_log
from testlab_sim.stbtester.logs import log_of, zone
from testlab_sim.stbtester.refusal import Refusal
from testlab_sim.stbtester.reports import csv_text, detail, junit_xml, row
from testlab_sim.stbtester.search import matcher
from testlab_sim.stbtester.wire import PREFIX, base, check_token
from testlab_sim.world import World

routes = Api[World](PREFIX, "Test results", guard=check_token)

MOST = 2000
"""Only the first 2,000 matching runs are listed; the answer does not say when there are more."""


_SORTS: dict[str, Callable[[Run], Any]] = {
    "category": lambda run: run.job.category,
    "date": lambda run: run.start,
    "duration": lambda run: run.end - run.start,
    "job": lambda run: run.job.uid,
    "testcase": lambda run: run.test_case,
    "result": lambda run: run.outcome.result,
}


def _select_runs(request: Request, world: World) -> list[Run]:
    query = request.query_params
    timezone = zone(query.get("tz", "UTC"))
    field, _, direction = query.get("sort", "date:desc").partition(":")
    if field not in _SORTS or direction not in ("asc", "desc"):
        raise Refusal(400, f"Invalid sort: want <fieldname>:asc or :desc with one of {', '.join(_SORTS)}")
    chosen = filter(matcher(query.get("filter", ""), timezone), world.portal.runs())
    newest_first = sorted(chosen, key=lambda run: (run.start, run.result_id), reverse=True)
    if field == "date":
        return newest_first[:MOST] if direction == "desc" else newest_first[: -MOST - 1 : -1]
    return sorted(newest_first, key=_SORTS[field], reverse=direction == "desc")[:MOST]


@routes.route("GET", "/api/v2/results")
async def list_results(request: Request, world: World) -> Response:
    """Get list of test results, at most 2,000."""
    link = base(request)
    return JSONResponse([row(run, link) for run in _select_runs(request, world)])


@routes.route("GET", "/api/v2/results.csv")
async def list_results_csv(request: Request, world: World) -> Response:
    """Get list of test results (CSV)."""
    return Response(csv_text(_select_runs(request, world), base(request)), media_type="text/csv")


@routes.route("GET", "/api/v2/results.xml")
async def list_results_xml(request: Request, world: World) -> Response:
    """Get list of test results (JUnit XML)."""
    include_tz = request.query_params.get("include_tz", "false").lower() == "true"
    return Response(junit_xml(_select_runs(request, world), include_tz), media_type="application/xml")


def _find_run(request: Request, world: World) -> Run:
    result_id = request.path_params["result_id"]
    run = world.portal.run(result_id)
    if run is None:
        raise Refusal(404, f"Unknown result_id {result_id!r}")
    if run.deleted:
        raise Refusal(410, f"Result {result_id} has been deleted")
    return run


@routes.route("GET", "/api/v2/results/{result_id:result_id}")
@routes.route("GET", "/api/v2/results/{result_id:result_id}/")
async def get_result(request: Request, world: World) -> Response:
    """Get detailed information about a test run."""
    run = _find_run(request, world)
    listing = await run_sync(world.portal.artifacts.listing, run)
    return JSONResponse(detail(run, base(request), listing))


@routes.route("GET", "/api/v2/results/{result_id:result_id}/stbt.log")
async def get_log(request: Request, world: World) -> Response:
    """Get log output from a test run."""
    run, timezone = _find_run(request, world), zone(request.query_params.get("tz", "UTC"))
    size = world.portal.artifacts.large(run, "stbt.log")
    if size is not None:
        return StreamingResponse(large_log(size, run.start, timezone), media_type="text/plain; charset=utf-8")
    return PlainTextResponse(log_of(run, timezone))


@routes.route("GET", "/api/v2/results/{result_id:result_id}/screenshot.png")
async def get_saved_screenshot(request: Request, world: World) -> Response:
    """Get screenshot saved at end of test run."""
    return await _send_file(_find_run(request, world), "screenshot.png", world)


@routes.route("GET", "/api/v2/results/{result_id:result_id}/artifacts")
@routes.route("GET", "/api/v2/results/{result_id:result_id}/artifacts/")
async def list_artifacts(request: Request, world: World) -> Response:
    """List artifacts produced during a test run."""
    return JSONResponse(await run_sync(world.portal.artifacts.listing, _find_run(request, world)))


@routes.route("GET", "/api/v2/results/{result_id:result_id}/artifacts/{filename:path}")
async def get_artifact(request: Request, world: World) -> Response:
    """Get an artifact produced during a test run."""
    run, name = _find_run(request, world), request.path_params["filename"]
    if name not in world.portal.artifacts.names(run):
        raise Refusal(404, f"Result {run.result_id} doesn't have the file {name!r}")
    return await _send_file(run, name, world)


async def _send_file(run: Run, name: str, world: World) -> Response:
    artifacts = world.portal.artifacts
    guessed = "text/plain; charset=utf-8" if name.endswith(".log") else mimetypes.guess_type(name)[0]
    media_type = guessed or "application/octet-stream"
    if size := artifacts.large(run, name):
        headers = {"content-length": str(size)}
        return StreamingResponse(artifacts.chunks(run, name), headers=headers, media_type=media_type)
    return Response(await run_sync(artifacts.content, run, name), media_type=media_type)
