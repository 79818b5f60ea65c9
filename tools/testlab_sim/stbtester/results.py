"""Test results: the list in three forms (JSON, CSV, JUnit XML), the detail, the log and the artifacts."""

from __future__ import annotations

import csv
import io
import mimetypes
import re
from collections.abc import Sequence
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from testlab_sim.stbtester.artifacts import content, large_log, log_of, traceback_of, zone
from testlab_sim.stbtester.jobs import Run
from testlab_sim.stbtester.search import select
from testlab_sim.stbtester.service import Refusal, api, base
from testlab_sim.world import World, iso

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COLUMNS: tuple[str, ...] = (
    "result_id",
    "job_uid",
    "result_url",
    "triage_url",
    "start_time",
    "end_time",
    "test_case",
    "test_pack_sha",
    "result",
    "failure_reason",
)
MOST = 2000
"""Only the first 2,000 matching runs are listed; the answer does not say when there are more."""


def _select_runs(request: Request, world: World) -> list[Run]:
    query = request.query_params
    timezone = zone(query.get("tz", "UTC"))
    sort = query.get("sort", "date:desc")
    field, _, direction = sort.partition(":")
    if field not in ("date", "duration") or direction not in ("asc", "desc"):
        raise Refusal(400, "Invalid sort: want date or duration, :asc or :desc")
    chosen = select(query.get("filter", ""), timezone, world.portal.runs())

    def place(run: Run) -> tuple[float, str]:
        return (run.start if field == "date" else run.end - run.start, run.result_id)

    return sorted(chosen, key=place, reverse=direction == "desc")[:MOST]


@api.route("GET", "/api/v2/results")
async def list_results(request: Request, world: World) -> Response:
    """Get list of test results, at most 2,000."""
    link = base(request)
    return JSONResponse([_row(run, link) for run in _select_runs(request, world)])


@api.route("GET", "/api/v2/results.csv")
async def list_results_csv(request: Request, world: World) -> Response:
    """Get list of test results (CSV)."""
    return Response(_csv_text(_select_runs(request, world), base(request)), media_type="text/csv")


@api.route("GET", "/api/v2/results.xml")
async def list_results_xml(request: Request, world: World) -> Response:
    """Get list of test results (JUnit XML)."""
    include_tz = request.query_params.get("include_tz", "false").lower() == "true"
    return Response(_junit_xml(_select_runs(request, world), include_tz), media_type="application/xml")


def _find_run(request: Request, world: World) -> Run:
    result_id = request.path_params["result_id"]
    run = world.portal.run(result_id)
    if run is None:
        raise Refusal(404, f"Unknown result_id {result_id!r}")
    if run.deleted:
        raise Refusal(410, f"Result {result_id} has been deleted")
    return run


@api.route("GET", "/api/v2/results/{result_id:result_id}")
@api.route("GET", "/api/v2/results/{result_id:result_id}/")
async def get_result(request: Request, world: World) -> Response:
    """Get detailed information about a test run."""
    run = _find_run(request, world)
    listing = await run_sync(world.portal.artifacts.listing, run)
    return JSONResponse(_detail(run, base(request), listing))


@api.route("GET", "/api/v2/results/{result_id:result_id}/stbt.log")
async def get_log(request: Request, world: World) -> Response:
    """Get log output from a test run."""
    run, timezone = _find_run(request, world), zone(request.query_params.get("tz", "UTC"))
    size = world.portal.artifacts.large(run, "stbt.log")
    if size is not None:
        return StreamingResponse(large_log(size, run.start, timezone), media_type="text/plain; charset=utf-8")
    return PlainTextResponse(log_of(run, timezone))


@api.route("GET", "/api/v2/results/{result_id:result_id}/screenshot.png")
async def get_saved_screenshot(request: Request, world: World) -> Response:
    """Get screenshot saved at end of test run."""
    return await _send_file(_find_run(request, world), "screenshot.png", world)


@api.route("GET", "/api/v2/results/{result_id:result_id}/artifacts/")
async def list_artifacts(request: Request, world: World) -> Response:
    """List artifacts produced during a test run."""
    return JSONResponse(await run_sync(world.portal.artifacts.listing, _find_run(request, world)))


@api.route("GET", "/api/v2/results/{result_id:result_id}/artifacts/{filename:path}")
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
    return Response(await run_sync(content, run, name), media_type=media_type)


def _row(run: Run, base_url: str) -> dict[str, Any]:
    """One entry of `GET /api/v2/results`, and the first part of a result's detail."""
    result_id, failure = run.result_id, run.outcome.failure
    return {
        "result_id": result_id,
        "job_uid": run.job.uid,
        "result_url": f"{base_url}/api/v2/results{result_id}",
        "triage_url": f"{base_url}/app/#/result/{result_id}",
        "start_time": iso(run.start),
        "end_time": iso(run.end),
        "test_pack_sha": run.job.revision.sha,
        "test_case": run.test_case,
        "result": run.outcome.result,
        "failure_reason": failure.message if failure else None,
    }


def _detail(run: Run, base_url: str, artifacts: dict[str, Any]) -> dict[str, Any]:
    """`GET /api/v2/results/(result_id)/`."""
    job = run.job
    return {
        **_row(run, base_url),
        "test_pack_branch": job.branch,
        "username": job.username,
        "job_category": job.category,
        "traceback": traceback_of(run),
        "artifacts": artifacts,
        "tags": dict(job.tags),
    }


def _csv_text(runs: Sequence[Run], base_url: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS)
    writer.writeheader()
    writer.writerows(_row(run, base_url) for run in runs)
    return out.getvalue()


def _junit_xml(runs: Sequence[Run], include_tz: bool) -> bytes:
    """One `testsuite`, as in the portal the vendor's client is tested against (stbt_rig `PortalMock.RESULTS_XML`)."""
    from xml.etree import ElementTree as Xml

    counts = {result: sum(run.outcome.result == result for run in runs) for result in ("fail", "error")}
    seconds = sum(run.end - run.start for run in runs)
    suite = Xml.Element(
        "testsuite",
        disabled="0",
        errors=str(counts["error"]),
        failures=str(counts["fail"]),
        name="test",
        skipped="0",
        tests=str(len(runs)),
        time=f"{seconds:.6f}",
    )
    if runs:
        suite.set("timestamp", iso(min(run.start for run in runs), "+00:00" if include_tz else ""))
    for run in runs:
        file, _, function = run.test_case.partition("::")
        case = Xml.SubElement(suite, "testcase", classname=file, name=function, time=f"{run.end - run.start:.6f}")
        if run.outcome.failure is not None:
            kind = "failure" if run.outcome.result == "fail" else "error"
            mark = Xml.SubElement(case, kind, type=kind, message=_clean(run.outcome.failure.message))
            mark.text = _clean(traceback_of(run) or "")
    return Xml.tostring(suite, encoding="utf-8", xml_declaration=True)


def _clean(text: str) -> str:
    """Without the control characters XML 1.0 cannot hold."""
    return _NOT_XML.sub("", text)
