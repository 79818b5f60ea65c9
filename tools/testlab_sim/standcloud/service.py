"""What every StandCloud operation shares: two prefixes, two ways to show a key, and how a refusal is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim import routing
from testlab_sim.world import World

PREFIXES = ("/hardpy/api/v1", "/integration/api/v1")


class Refusal(routing.Refusal):
    """An operation refused; the body is `{"detail": …}`."""

    def __init__(self, status: int, detail: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.detail = detail
        self.headers = headers

    def response(self, request: Request) -> Response:
        return JSONResponse({"detail": self.detail}, self.status, self.headers)


def _check_key(request: Request, world: World) -> None:
    """The key is in `X-API-KEY` (the public API's document) or `Authorization: Bearer` (hardpy, the vendor's SDK)."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    key = request.headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
    signed_in = world.production.stands.tokens.get(key, 0.0) > world.clock.now()
    if not signed_in and world.person(key) is None:
        raise Refusal(401, "Could not validate credentials", {"WWW-Authenticate": "Bearer"})


api = routing.Api("standcloud", _check_key)


def operation(path: str) -> Callable[[routing.Handler], routing.Handler]:
    """Declare a reading operation under each of `PREFIXES`."""

    def declare(handler: routing.Handler) -> routing.Handler:
        for prefix in PREFIXES:
            api.route("GET", prefix + path)(handler)
        return handler

    return declare
