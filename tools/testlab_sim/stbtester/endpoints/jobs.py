"""Running tests: what can be run, starting a job, watching it, waiting for it and stopping it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from testlab_sim.routing import Api
from testlab_sim.stbtester.endpoints.nodes import node_named
from testlab_sim.stbtester.jobs import Job
from testlab_sim.stbtester.logs import log_of, zone
from testlab_sim.stbtester.refusal import Refusal
from testlab_sim.stbtester.run_request import start_job
from testlab_sim.stbtester.test_pack import resolve
from testlab_sim.stbtester.wire import COMMON, PREFIX, base, body, check_token, job_json, user, while_connected
from testlab_sim.world import World

routes = Api[World](PREFIX, "Running tests", guard=check_token)

_JOB = {200: "Success", **COMMON, 404: "Unknown job_uid"}
_NODE = {200: "Success", **COMMON, 404: "Unknown node_id"}
_AWAIT = {200: "Job finished", 202: "Job still running; please re-try the request"}
_STOP = {200: "The job is now stopped", 202: "Stopping, but not yet stopped"}


@routes.route(
    "GET",
    "/api/v2/test_pack/{test_pack_revision:path}/test_case_names",
    statuses={200: "Success", **COMMON, 404: "Commit sha or branch not found in test-pack"},
)
async def list_test_cases(request: Request, world: World) -> Response:
    """List test cases found at a revision of the test-pack."""
    name = request.path_params["test_pack_revision"]
    found = resolve(name)
    if found is None:
        raise Refusal(404, f"Commit sha or branch {name!r} not found in test-pack")
    return JSONResponse(list(found[0].cases))


@routes.route(
    "POST",
    "/api/v2/run_tests",
    statuses={
        200: "Test job started",
        400: "Invalid json parameter",
        403: "Invalid access token or node licence expired",
        404: "Commit sha or branch not found in test-pack, or unknown node_id",
        409: "A test job is already running",
        429: "Rate limits exceeded",
        503: "Node is offline",
    },
)
async def run_tests(request: Request, world: World) -> Response:
    """Run the specified test cases from the given git commit."""
    job = start_job(await body(request), user(request, world), world.portal)
    return JSONResponse(job_json(job, world.clock.now(), base(request)))


def _job(request: Request, world: World) -> Job:
    uid = request.path_params["job_uid"]
    job = world.portal.jobs.get(uid)
    if job is None:
        raise Refusal(404, f"Unknown job_uid {uid!r}")
    return job


def _job_on_node(request: Request, world: World) -> Job | None:
    return world.portal.job_on(node_named(world, request.path_params["node_id"]).node_id)


def _answer(job: Job, request: Request, world: World, status: int = 200) -> Response:
    return JSONResponse(job_json(job, world.clock.now(), base(request)), status)


@routes.route("GET", "/api/v2/jobs/{job_uid:job_uid}", statuses=_JOB)
async def get_job(request: Request, world: World) -> Response:
    """Inspect a test job."""
    return _answer(_job(request, world), request, world)


@routes.route("GET", "/api/v2/nodes/{node_id}/job", statuses=_NODE)
async def get_node_job(request: Request, world: World) -> Response:
    """Inspect a node's current test job, or the last that ran there."""
    job = _job_on_node(request, world)
    if job is None:
        raise Refusal(404, f"Node {request.path_params['node_id']} has never run a job")
    return _answer(job, request, world)


@routes.route("GET", "/api/v2/jobs/{job_uid:job_uid}/await_completion", statuses={**_JOB, **_AWAIT})
async def await_job(request: Request, world: World) -> Response:
    """Wait for a job to finish: a long poll that answers 202 after 55 seconds."""
    return await _await(_job(request, world), request, world)


@routes.route("GET", "/api/v2/nodes/{node_id}/job/await_completion", statuses={**_NODE, **_AWAIT})
async def await_node_job(request: Request, world: World) -> Response:
    """Wait for a node's current job to finish; 200 at once if there is none."""
    job = _job_on_node(request, world)
    return JSONResponse({}) if job is None else await _await(job, request, world)


async def _await(job: Job, request: Request, world: World) -> Response:
    done = await while_connected(request, world.portal.wait(job, world.portal.holds.await_completion))
    return _answer(job, request, world, 200 if done else 202)


@routes.route("PUT POST", "/api/v2/jobs/{job_uid:job_uid}/stop", statuses={**_JOB, **_STOP})
async def stop_job(request: Request, world: World) -> Response:
    """Stop a job in progress; idempotent."""
    return await _stop(_job(request, world), request, world)


@routes.route("PUT POST", "/api/v2/nodes/{node_id}/job/stop", statuses={**_NODE, **_STOP})
async def stop_node_job(request: Request, world: World) -> Response:
    """Stop a node's current job."""
    job = _job_on_node(request, world)
    return JSONResponse({}) if job is None else await _stop(job, request, world)


async def _stop(job: Job, request: Request, world: World) -> Response:
    portal, who = world.portal, user(request, world)
    if job.running(world.clock.now()):
        if held := portal.held_by_other(job.node_id, who.login):
            raise Refusal(403, f"Node {job.node_id} reserved by @{held.username}: other users can't stop its test jobs")
        portal.nodes[job.node_id].used(who.login, world.clock.now())
    portal.stop(job)
    done = await while_connected(request, portal.wait(job, portal.holds.stop))
    return _answer(job, request, world, 200 if done else 202)


@routes.route("GET", "/api/v2/jobs/{job_uid:job_uid}/log", query=("tz",), statuses=_JOB)
async def get_job_log(request: Request, world: World) -> Response:
    """The logs of a job's finished runs, one after another."""
    job, timezone = _job(request, world), zone(request.query_params.get("tz", "UTC"))
    return PlainTextResponse("".join(log_of(run, timezone) for run in job.runs(world.clock.now())))
