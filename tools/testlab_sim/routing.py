"""Declares a service's routes, and shows them on the simulated lab's front page."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

World = TypeVar("World")
Handler = Callable[[Request, World], Awaitable[Response]]
Guard = Callable[[Request, World], Response | None]


@dataclass(frozen=True)
class Endpoint(Generic[World]):
    """One operation; the first line of its handler's docstring describes it."""

    methods: tuple[str, ...]
    path: str
    handler: Handler[World]
    guarded: bool


@dataclass
class Api(Generic[World]):
    """The routes of one simulated service.

    >>> api = Api[Lab]("stbtester", "Stb-tester portal", guard=check_token)
    >>> @api.route("GET", "/api/v2/nodes")
    ... async def list_nodes(request: Request, lab: Lab) -> Response:
    ...     \"\"\"Get status of all nodes.\"\"\"
    """

    prefix: str
    title: str
    guard: Guard[World] | None = None
    endpoints: list[Endpoint[World]] = field(default_factory=list["Endpoint[World]"])

    def route(self, methods: str, path: str, *, guarded: bool = True) -> Callable[[Handler[World]], Handler[World]]:
        """Declare an operation; `methods` is space separated, `guarded=False` skips the token check."""

        def declare(handler: Handler[World]) -> Handler[World]:
            self.endpoints.append(Endpoint(tuple(methods.split()), path, handler, guarded))
            return handler

        return declare

    def mount(self, world: World) -> list[Route]:
        """Bind every operation to `world`, in order of declaration, under `/<prefix>`."""
        return [Route(f"/{self.prefix}{e.path}", self._bind(e, world), methods=list(e.methods)) for e in self.endpoints]

    def _bind(self, endpoint: Endpoint[World], world: World) -> Callable[[Request], Awaitable[Response]]:
        guard = self.guard if endpoint.guarded else None

        async def call(request: Request) -> Response:
            if guard is not None and (refusal := guard(request, world)) is not None:
                return refusal
            return await endpoint.handler(request, world)

        return call


def front_page(apis: Sequence[Api[Any]]) -> Route:
    """The page at `/`: every service's base URL and operations."""

    async def show(request: Request) -> Response:
        return HTMLResponse(_PAGE.format(services="".join(map(_section, apis))))

    return Route("/", show)


def _section(api: Api[Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{'/'.join(e.methods)} {html.escape(e.path)}</code></td>"
        f"<td>{html.escape((e.handler.__doc__ or '').partition(chr(10))[0])}</td></tr>"
        for e in api.endpoints
    )
    return f"<h2>{html.escape(api.title)}</h2><p><code>/{api.prefix}</code></p><table>{rows}</table>"


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Simulated test lab</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b2733}}
table{{border-collapse:collapse;width:100%}}td{{padding:.3rem .6rem;border-bottom:1px solid #dde3ea}}</style>
<h1>Simulated test lab</h1>
<p>Three services over one seeded world. Nothing here is real, and nothing leaves this machine.</p>{services}</html>"""
