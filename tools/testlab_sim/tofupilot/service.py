"""What every TofuPilot operation shares: who is calling, how a body is read, how a refusal is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.production.records import Station
from testlab_sim.routing import Api, Handler
from testlab_sim.world import Person, World

_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    408: "TIMEOUT",
    409: "CONFLICT",
    422: "UNPROCESSABLE_CONTENT",
    429: "TOO_MANY_REQUESTS",
    502: "BAD_GATEWAY",
}
"""Of API v2, as its client 2.26.1 reads them."""
ORGANIZATION = {"id": "6f1d3c1e-52a4-4c3b-9f0e-0b1a7c5d0001", "slug": "sim-lab", "name": "Simulated Lab"}


class Refusal(Exception):
    """An operation refused: HTTP status, message, and v2's `issues`."""

    def __init__(self, status: int, message: str, issues: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.issues = issues


def error_body(path: str, status: int, message: str, issues: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """An error in the shape of the version that `path` is of."""
    if "/api/v1/" in path:
        return {"error": {"message": "; ".join(issue["message"] for issue in issues) or message}}
    code = _CODES.get(status, "INTERNAL_SERVER_ERROR")
    return {"message": message, "code": code, "issues": list(issues) or [{"message": message}]}


def _refused(request: Request, refusal: Refusal) -> Response:
    """v1's clients read the message only under a `Content-Type` of exactly `application/json` (tofupilot 1.12.1)."""
    body = error_body(request.url.path, refusal.status, refusal.message, refusal.issues)
    return JSONResponse(body, refusal.status)


def _identify(request: Request, world: World) -> Person | Station | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    return world.person(token.strip()) or world.production.station_of(token.strip())


def caller(request: Request, world: World) -> Person | Station:
    """Who the bearer token of a guarded operation belongs to: a person or a station."""
    who = _identify(request, world)
    assert who is not None
    return who


def _guard(request: Request, world: World) -> Response | None:
    if _identify(request, world) is not None:
        return None
    return _refused(request, Refusal(401, "Invalid or missing API key"))


api: Api[World] = Api("tofupilot", "TofuPilot", guard=_guard)


def operation(methods: str, path: str, *, guarded: bool = True) -> Callable[[Handler[World]], Handler[World]]:
    """Declare an operation that answers 200, or raises `Refusal`."""

    def declare(handler: Handler[World]) -> Handler[World]:
        @wraps(handler)
        async def answer(request: Request, world: World) -> Response:
            try:
                return await handler(request, world)
            except Refusal as refusal:
                return _refused(request, refusal)

        api.route(methods, path, guarded=guarded)(answer)
        return handler

    return declare


async def body_of(request: Request) -> dict[str, Any]:
    """The request's JSON object."""
    try:
        body = json.loads(await request.body() or b"{}", parse_constant=_refuse_constant)
    except ValueError:
        raise Refusal(400, "Request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "Request body must be a JSON object")
    return cast("dict[str, Any]", body)


def _refuse_constant(constant: str) -> object:
    """Python reads `NaN` and `Infinity`; JSON has no such thing."""
    raise ValueError(constant)


def text_in(body: Mapping[str, Any], key: str) -> str:
    """A required, non-empty string of the body."""
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise invalid(key, "expected a non-empty string")
    return value


def objects_in(body: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """An optional list of objects of the body."""
    items: Any = body.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in cast("list[Any]", items)):
        raise invalid(key, "expected a list of objects")
    return cast("list[dict[str, Any]]", items)


def invalid(key: str, message: str) -> Refusal:
    """A 400 with one issue, at `key`."""
    return Refusal(400, "Input validation failed", [{"message": f"{key}: {message}", "path": [key]}])


def identity(person: Person) -> dict[str, Any]:
    """A user as v2 shows one: id, name, e-mail."""
    return {"id": f"user_{person.login}", "name": person.name, "email": email(person)}


def email(person: Person) -> str:
    return f"{person.login}@lab.example"
