"""What every TofuPilot operation shares: who is calling, how a body is read, how a refusal is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim import routing
from testlab_sim.production.records import Station
from testlab_sim.world import Person, World

T = TypeVar("T")

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


class Refusal(routing.Refusal):
    """An operation refused: HTTP status, message, and v2's `issues`."""

    def __init__(self, status: int, message: str, issues: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(status, message)
        self.message = message
        self.issues = issues

    def response(self, request: Request) -> Response:
        """v1's clients read it only under a `Content-Type` of exactly `application/json` (tofupilot 1.12.1)."""
        return JSONResponse(error_body(request.url.path, self.status, self.message, self.issues), self.status)


def error_body(path: str, status: int, message: str, issues: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """An error in the shape of the version that `path` is of."""
    if "/api/v1/" in path:
        return {"error": {"message": "; ".join(issue["message"] for issue in issues) or message}}
    code = _CODES.get(status, "INTERNAL_SERVER_ERROR")
    return {"message": message, "code": code, "issues": list(issues) or [{"message": message}]}


def caller(request: Request, world: World) -> Person | Station:
    """Who the bearer token belongs to: a person or a station."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    who = world.person(token.strip()) or world.production.station_of(token.strip())
    if scheme.lower() != "bearer" or who is None:
        raise Refusal(401, "Invalid or missing API key")
    return who


api = routing.Api("tofupilot", caller)


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


def found(thing: T | None, what: str) -> T:
    """The thing, or a 404 if there is none."""
    if thing is None:
        raise Refusal(404, f"{what} not found")
    return thing


def invalid(key: str, message: str) -> Refusal:
    """A 400 with one issue, at `key`."""
    return Refusal(400, "Input validation failed", [{"message": f"{key}: {message}", "path": [key]}])


def identity(person: Person) -> dict[str, Any]:
    """A user as v2 shows one: id, name, e-mail."""
    return {"id": f"user_{person.login}", "name": person.name, "email": email(person)}


def email(person: Person) -> str:
    return f"{person.login}@lab.example"
