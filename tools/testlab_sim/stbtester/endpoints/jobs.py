"""Running tests: what can be run, starting a job, watching it, waiting for it and stopping it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.routing import Api
from testlab_sim.stbtester.endpoints.nodes import find_node
from testlab_sim.stbtester.jobs import Job
from testlab_sim.stbtester.refusal import Refusal
from testlab_sim.stbtester.run_request import start_job
from testlab_sim.stbtester.test_pack import resolve
from testlab_sim.stbtester.wire import PREFIX, base, body, check_token, job_json, user, wait_while_connected
from testlab_sim.world import World

routes = Api[World](PREFIX, "Running tests", guard=check_token)


@routes.route("GET", "/api/v2/test_pack/{test_pack_revision:path}/test_case_names")
async def list_test_cases(request: Request, world: World) -> Response:
    """List test cases found at a revision of the test-pack."""
    name = request.path_params["test_pack_revision"]
    found = resolve(name)
    if found is None:
        raise Refusal(404, f"Commit sha or branch {name!r} not found in test-pack")
    return JSONResponse(list(found[0].cases))


@routes.route("POST", "/api/v2/run_tests")
async def run_tests(request: Request, world: World) -> Response:
    """Run the specified test cases from the given git commit."""
    job = start_job(await body(request), user(request, world), world.portal)
    return JSONResponse(job_json(job, world.clock.now(), base(request)))


def _find_job(request: Request, world: World) -> Job:
    uid = request.path_params["job_uid"]
    job = world.portal.jobs.get(uid)
    if job is None:
        raise Refusal(404, f"Unknown job_uid {uid!r}")
    return job


def _find_job_on_node(request: Request, world: World) -> Job | None:
    return world.portal.job_on(find_node(world, request.path_params["node_id"]).node_id)


def _show_job(job: Job, request: Request, world: World, status: int = 200) -> Response:
    return JSONResponse(job_json(job, world.clock.now(), base(request)), status)


@routes.route("GET", "/api/v2/jobs/{job_uid:job_uid}")
async def get_job(request: Request, world: World) -> Response:
    """Inspect a test job."""
    return _show_job(_find_job(request, world), request, world)


@routes.route("GET", "/api/v2/nodes/{node_id}/job")
async def get_node_job(request: Request, world: World) -> Response:
    """Inspect a node's current test job, or the last that ran there."""
    job = _find_job_on_node(request, world)
    if job is None:
        raise Refusal(404, f"Node {request.path_params['node_id']} has never run a job")
    return _show_job(job, request, world)


@routes.route("GET", "/api/v2/jobs/{job_uid:job_uid}/await_completion")
async def await_job(request: Request, world: World) -> Response:
    """Wait for a job to finish: a long poll that answers 202 after 55 seconds."""
    return await _await(_find_job(request, world), request, world)


async def _await(job: Job, request: Request, world: World) -> Response:
    done = await wait_while_connected(request, world.portal.wait(job, world.portal.holds.await_completion))
    return _show_job(job, request, world, 200 if done else 202)


@routes.route("PUT POST", "/api/v2/jobs/{job_uid:job_uid}/stop")
async def stop_job(request: Request, world: World) -> Response:
    """Stop a job in progress; idempotent."""
    return await _stop(_find_job(request, world), request, world)


@routes.route("PUT POST", "/api/v2/nodes/{node_id}/job/stop")
async def stop_node_job(request: Request, world: World) -> Response:
    """Stop a node's current job."""
    job = _find_job_on_node(request, world)
    return JSONResponse({}) if job is None else await _stop(job, request, world)


async def _stop(job: Job, request: Request, world: World) -> Response:
    portal, who = world.portal, user(request, world)
    if job.running(world.clock.now()):
        if held := portal.held_by_other(job.node_id, who.login):
            raise Refusal(403, f"Node {job.node_id} reserved by @{held.username}: other users can't stop its test jobs")
        portal.nodes[job.node_id].used(who.login, world.clock.now())
    portal.stop(job)
    done = await wait_while_connected(request, portal.wait(job, portal.holds.stop))
    return _show_job(job, request, world, 200 if done else 202)
