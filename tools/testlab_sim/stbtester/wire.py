"""What every operation of the portal shares: the token check, refusals, absolute links and request bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, cast

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.clock import iso
from testlab_sim.stbtester.jobs import Job
from testlab_sim.stbtester.refusal import Refusal
from testlab_sim.world import Person, World

PREFIX = "stbtester"


class _Uid(Convertor[str]):
    """Ids hold slashes and begin with one; stbt_rig 33.1.0 `Portal.get_result` sends it twice."""

    def convert(self, value: str) -> str:
        return "/" + value.lstrip("/")

    def to_string(self, value: str) -> str:
        return value.lstrip("/")


class _JobUid(_Uid):
    regex = "/?[^/]+/[^/]+/[^/]+"


class _ResultId(_Uid):
    regex = "/?[^/]+/[^/]+/[^/]+/[^/]+"


register_url_convertor("job_uid", _JobUid())
register_url_convertor("result_id", _ResultId())


def person(request: Request, world: World) -> Person | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return world.person(token.strip()) if scheme.lower() == "token" else None


def check_token(request: Request, world: World) -> Response | None:
    """A missing or wrong token is 403, not 401 (REST API v2, "Authentication")."""
    if person(request, world) is None:
        return Refusal(403, "Invalid access token").response()
    return None


def user(request: Request, world: World) -> Person:
    """The user whose token came with a request that passed `check_token`."""
    who = person(request, world)
    assert who is not None
    return who


def base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/{PREFIX}"


async def body(request: Request) -> dict[str, Any]:
    """The request's JSON object; 400 if it is anything else."""
    try:
        parsed = json.loads(await request.body())
    except ValueError:
        raise Refusal(400, "Request body is not valid JSON") from None
    if not isinstance(parsed, dict):
        raise Refusal(400, "Request body must be a JSON object")
    return cast("dict[str, Any]", parsed)


async def wait_while_connected(request: Request, waiting: Coroutine[Any, Any, bool]) -> bool:
    """Wait, but no longer than the client does; False if it has hung up."""
    poll = asyncio.create_task(waiting)
    gone = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait((poll, gone), return_when=asyncio.FIRST_COMPLETED)
        return poll.done() and poll.result()
    finally:
        poll.cancel()
        gone.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def text_field(fields: dict[str, Any], name: str) -> str:
    """A mandatory string that is not blank."""
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refusal(400, f'"{name}" is mandatory and must be a non-empty string')
    return value


def names_field(fields: dict[str, Any], name: str) -> list[str]:
    """A mandatory array of strings."""
    value = fields.get(name)
    items = cast("list[object]", value) if isinstance(value, list) else []
    if not items or not all(isinstance(item, str) and item for item in items):
        raise Refusal(400, f'"{name}" is mandatory and must be a non-empty array of strings')
    return cast("list[str]", items)


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
