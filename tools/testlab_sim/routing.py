"""The operations of a simulated service, and how one is refused."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from testlab_sim.world import World

Handler = Callable[[Request, World], Awaitable[Response]]


class Refusal(Exception):
    """Raised anywhere in a service to answer with `status`; each service has its own, in its own words."""

    def __init__(self, status: int, message: object) -> None:
        super().__init__(message)
        self.status = status

    @abstractmethod
    def response(self, request: Request) -> Response:
        """The answer to `request`."""


async def answer_refusal(request: Request, exc: Exception) -> Response:
    """The application's handler for `Refusal`."""
    assert isinstance(exc, Refusal)
    return exc.response(request)


class Api:
    """The routes of one simulated service, under `/<prefix>`; `guard` raises a `Refusal` where the token is not good.

    >>> api = Api("stbtester", check_token)
    >>> @api.route("GET", "/api/v2/nodes")
    ... async def list_nodes(request: Request, world: World) -> Response: ...
    """

    def __init__(self, prefix: str, guard: Callable[[Request, World], object]) -> None:
        self._prefix = prefix
        self._guard = guard
        self._operations: list[tuple[list[str], str, Handler, bool]] = []

    def route(self, methods: str, path: str, *, guarded: bool = True) -> Callable[[Handler], Handler]:
        """Declare an operation; `methods` is space separated, `guarded=False` skips the token check."""

        def declare(handler: Handler) -> Handler:
            self._operations.append((methods.split(), f"/{self._prefix}{path}", handler, guarded))
            return handler

        return declare

    def mount(self, world: World) -> list[Route]:
        """Bind every operation to `world`, in order of declaration."""
        return [
            Route(path, self._bind(handler, world, guarded=guarded), methods=methods)
            for methods, path, handler, guarded in self._operations
        ]

    def _bind(self, handler: Handler, world: World, *, guarded: bool) -> Callable[[Request], Awaitable[Response]]:
        async def call(request: Request) -> Response:
            if guarded:
                self._guard(request, world)
            return await handler(request, world)

        return call
