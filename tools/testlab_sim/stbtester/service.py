"""What every operation of the portal shares: the token check, refusals, absolute links and request bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, cast

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim import routing
from testlab_sim.world import Person, World

_PREFIX = "stbtester"


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


class Refusal(routing.Refusal):
    """An operation refused; `message` tells apart what one status stands for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.message = message

    def response(self, request: Request) -> Response:
        return JSONResponse({"message": self.message}, self.status)


def user(request: Request, world: World) -> Person:
    """Whose token it is. A missing or wrong one is 403, not 401 (REST API v2, "Authentication")."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    who = world.person(token.strip())
    if scheme.lower() != "token" or who is None:
        raise Refusal(403, "Invalid access token")
    return who


api = routing.Api(_PREFIX, user)


def base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/{_PREFIX}"


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
