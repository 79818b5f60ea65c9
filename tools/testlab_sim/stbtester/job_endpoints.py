"""Running tests: what can be run, starting a job, watching it, waiting for it and stopping it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.stbtester.jobs import Job
from testlab_sim.stbtester.nodes import Node
from testlab_sim.stbtester.portal import Portal
from testlab_sim.stbtester.service import Refusal, api, base, body, user, wait_while_connected
from testlab_sim.stbtester.test_pack import resolve
from testlab_sim.world import Person, World, iso

if TYPE_CHECKING:
    from testlab_sim.stbtester.bodies import JobBody


@api.route("GET", "/api/v2/test_pack/{test_pack_revision:path}/test_case_names")
async def list_test_cases(request: Request, world: World) -> Response:
    """List test cases found at a revision of the test-pack."""
    revision, _ = resolve(request.path_params["test_pack_revision"])
    return JSONResponse(list(revision.cases))


@api.route("POST", "/api/v2/run_tests")
async def run_tests(request: Request, world: World) -> Response:
    """Run the specified test cases from the given git commit."""
    from testlab_sim.stbtester.bodies import JobBody, parse

    job = _start_job(parse(JobBody, await body(request)), user(request, world), world.portal)
    return _show_job(job, request, world)


def _start_job(given: JobBody, who: Person, portal: Portal) -> Job:
    """Start the job that is asked for, or raise the documented refusal."""
    node = portal.node(given.node_id)
    revision, branch = resolve(given.test_pack_revision)
    _require_free_node(node, who, portal)
    now = portal.clock.now()
    node.used(who.login, now)
    return portal.start(
        Job(
            uid=node.next_job_uid(),
            node_id=node.node_id,
            username=who.login,
            revision=revision,
            branch=branch,
            test_cases=given.test_cases,
            start=now,
            pace=portal.clock.real(1.0),
            seed=portal.seed,
            category=given.category or "default",
            tags=given.tags or {},
            remote_control=given.remote_control or "stb4k",
            forever=given.soak == "run forever",
            shuffle=bool(given.shuffle),
            picture_until=node.picture_until,
        )
    )


def _require_free_node(node: Node, who: Person, portal: Portal) -> None:
    """Whether this user may start a job on this node now."""
    if not node.licensed:
        raise Refusal(403, f"Node {node.node_id} licence expired on {node.licence_expiry}")
    if not node.online:
        raise Refusal(503, f"Node {node.node_id} is offline")
    if held := portal.held_by_other(node.node_id, who.login):
        raise Refusal(409, f"Node {node.node_id} reserved by @{held.username}")
    if job := portal.busy(node.node_id):
        raise Refusal(409, f"Node {node.node_id} is running test job {job.uid} started by @{job.username}")
    if node.updating:
        raise Refusal(409, f"Node {node.node_id} has a pending software update")


def _find_job(request: Request, world: World) -> Job:
    uid = request.path_params["job_uid"]
    job = world.portal.jobs.get(uid)
    if job is None:
        raise Refusal(404, f"Unknown job_uid {uid!r}")
    return job


def _find_job_on_node(request: Request, world: World) -> Job | None:
    return world.portal.job_on(world.portal.node(request.path_params["node_id"]).node_id)


def _show_job(job: Job, request: Request, world: World, status: int = 200) -> Response:
    return JSONResponse(job_json(job, world.clock.now(), base(request)), status)


@api.route("GET", "/api/v2/jobs/{job_uid:job_uid}")
async def get_job(request: Request, world: World) -> Response:
    """Inspect a test job."""
    return _show_job(_find_job(request, world), request, world)


@api.route("GET", "/api/v2/nodes/{node_id}/job")
async def get_node_job(request: Request, world: World) -> Response:
    """Inspect a node's current test job, or the last that ran there."""
    job = _find_job_on_node(request, world)
    if job is None:
        raise Refusal(404, f"Node {request.path_params['node_id']} has never run a job")
    return _show_job(job, request, world)


@api.route("GET", "/api/v2/jobs/{job_uid:job_uid}/await_completion")
async def await_job(request: Request, world: World) -> Response:
    """Wait for a job to finish: a long poll that answers 202 after 55 seconds."""
    job = _find_job(request, world)
    done = await wait_while_connected(request, world.portal.wait(job, world.portal.holds.await_completion))
    return _show_job(job, request, world, 200 if done else 202)


@api.route("PUT POST", "/api/v2/jobs/{job_uid:job_uid}/stop")
async def stop_job(request: Request, world: World) -> Response:
    """Stop a job in progress; idempotent."""
    return await _stop(_find_job(request, world), request, world)


@api.route("PUT POST", "/api/v2/nodes/{node_id}/job/stop")
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


def job_json(job: Job, now: float, base_url: str) -> dict[str, Any]:
    """The job object of `run_tests`, of the job endpoints and inside a node."""
    counts = {"pass": 0, "fail": 0, "error": 0}
    for run in job.runs(now):
        counts[run.outcome.result] += 1
    end = job.ended(now)
    url = f"{base_url}/api/v2/jobs{job.uid}"
    return {
        "job_uid": job.uid,
        "job_url": url,
        "log_url": f"{url}/log",
        "triage_url": f"{base_url}/app/#/results?filter=job:{job.uid}",
        "status": "running" if end is None else "exited",
        "start_time": iso(job.start),
        "end_time": None if end is None else iso(end),
        "result_counts": {**counts, "total": job.total(now)},
    }
