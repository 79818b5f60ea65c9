"""What every StandCloud operation shares: two prefixes, two ways to show a key, and how a refusal is told."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.routing import Api, Handler
from testlab_sim.world import World

PREFIXES = ("/hardpy/api/v1", "/integration/api/v1")


class Refusal(Exception):
    """An operation refused; the body is `{"detail": …}`."""

    def __init__(self, status: int, detail: object) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def _token(request: Request) -> str:
    """The key, from `X-API-KEY` (the public API's document) or `Authorization: Bearer` (hardpy, the vendor's SDK)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return request.headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")


def _guard(request: Request, world: World) -> Response | None:
    token = _token(request)
    signed_in = world.production.stands.tokens.get(token, 0.0) > world.clock.now()
    if token and (signed_in or world.person(token) is not None):
        return None
    return JSONResponse({"detail": "Could not validate credentials"}, 401, headers={"WWW-Authenticate": "Bearer"})


api: Api[World] = Api("standcloud", "StandCloud", guard=_guard)


def operation(
    method: str,
    path: str,
    *,
    prefixes: tuple[str, ...] = PREFIXES,
    guarded: bool = True,
) -> Callable[[Handler[World]], Handler[World]]:
    """Declare an operation under each of `prefixes`."""

    def declare(handler: Handler[World]) -> Handler[World]:
        @wraps(handler)
        async def answer(request: Request, world: World) -> Response:
            try:
                return await handler(request, world)
            except Refusal as refusal:
                return JSONResponse({"detail": refusal.detail}, refusal.status)

        for prefix in prefixes:
            api.route(method, prefix + path, guarded=guarded)(answer)
        return handler

    return declare


def prefix_of(request: Request) -> str:
    """`hardpy` or `integration`."""
    return "integration" if "/integration/api/v1" in request.url.path else "hardpy"
