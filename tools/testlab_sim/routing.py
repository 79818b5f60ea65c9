"""Declared routes: one decorator gives the HTTP route and its entry in the service's OpenAPI page."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

World = TypeVar("World")
Handler = Callable[[Request, World], Awaitable[Response]]
Guard = Callable[[Request, World], Response | None]

_CONVERTOR = re.compile(r"\{(\w+)(:\w+)?\}")


@dataclass(frozen=True)
class Endpoint(Generic[World]):
    """One documented operation: `summary` is the handler's first docstring line."""

    methods: tuple[str, ...]
    path: str
    handler: Handler[World]
    summary: str
    query: tuple[str, ...]
    statuses: Mapping[int, str]
    guarded: bool

    @property
    def plain_path(self) -> str:
        """The path as people write it: `{job_uid}`, without how it is read."""
        return _CONVERTOR.sub(r"{\1}", self.path)

    def operation(self) -> dict[str, Any]:
        names = [name for name, _ in _CONVERTOR.findall(self.path)]
        parameters = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]
        parameters += [{"name": n, "in": "query", "required": False, "schema": {"type": "string"}} for n in self.query]
        return {
            "operationId": self.handler.__name__,
            "summary": self.summary,
            "parameters": parameters,
            "responses": {str(code): {"description": text} for code, text in self.statuses.items()},
        }


@dataclass
class Api(Generic[World]):
    """The routes of one simulated service.

    >>> api = Api[Lab]("stbtester", "Stb-tester portal", guard=check_token)
    >>> @api.route("GET", "/api/v2/nodes", statuses={200: "Success", 403: "Invalid access token"})
    ... async def list_nodes(request: Request, lab: Lab) -> Response:
    ...     \"\"\"Get status of all nodes.\"\"\"
    """

    prefix: str
    title: str
    guard: Guard[World] | None = None
    endpoints: list[Endpoint[World]] = field(default_factory=list["Endpoint[World]"])

    def route(
        self,
        methods: str,
        path: str,
        *,
        query: tuple[str, ...] = (),
        statuses: Mapping[int, str] = {200: "Success"},
        guarded: bool = True,
    ) -> Callable[[Handler[World]], Handler[World]]:
        """Declare an operation; `methods` is space separated, `guarded=False` skips the token check."""

        def declare(handler: Handler[World]) -> Handler[World]:
            summary = (handler.__doc__ or handler.__name__).strip().splitlines()[0]
            self.endpoints.append(Endpoint(tuple(methods.split()), path, handler, summary, query, statuses, guarded))
            return handler

        return declare

    def mount(self, world: World) -> list[Route]:
        """Bind every operation to `world`, in order of declaration, under `/<prefix>`."""
        routes = [
            Route(f"/{self.prefix}{e.path}", self._bind(e, world), methods=list(e.methods)) for e in self.endpoints
        ]
        return [*routes, *self.pages()]

    def pages(self, under: str = "") -> list[Route]:
        """The OpenAPI document and the page to read it by, below `/<prefix><under>`."""
        return [
            Route(f"/{self.prefix}{under}/openapi.json", self._openapi),
            Route(f"/{self.prefix}{under}/docs", self._docs),
        ]

    def _bind(self, endpoint: Endpoint[World], world: World) -> Callable[[Request], Awaitable[Response]]:
        guard = self.guard if endpoint.guarded else None

        async def call(request: Request) -> Response:
            if guard is not None and (refusal := guard(request, world)) is not None:
                return refusal
            return await endpoint.handler(request, world)

        return call

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document of this service."""
        paths: dict[str, dict[str, Any]] = {}
        for e in self.endpoints:
            item = paths.setdefault(e.plain_path, {})
            item.update({method.lower(): e.operation() for method in e.methods})
        return {
            "openapi": "3.1.0",
            "info": {"title": f"{self.title} (simulated)", "version": "1"},
            "servers": [{"url": f"/{self.prefix}"}],
            "paths": paths,
        }

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(self.openapi())

    async def _docs(self, request: Request) -> Response:
        rows = "".join(
            f"<tr><td><code>{'/'.join(e.methods)}</code></td><td><code>{html.escape(e.plain_path)}</code></td>"
            f"<td>{html.escape(e.summary)}</td><td>{' '.join(map(str, sorted(e.statuses)))}</td></tr>"
            for e in self.endpoints
        )
        return HTMLResponse(_PAGE.format(title=html.escape(self.title), prefix=self.prefix, rows=rows))


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} (simulated)</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b2733}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #dde3ea}}
code{{font-size:13px;background:#f3f6f9;padding:.1rem .3rem;border-radius:3px}}</style>
<h1>{title} <small>(simulated)</small></h1><p>Base URL <code>/{prefix}</code>,
machine-readable at <a href="openapi.json">openapi.json</a>.</p>
<table><tr><th>Method</th><th>Path</th><th>What it does</th><th>Answers</th></tr>{rows}</table></html>"""
