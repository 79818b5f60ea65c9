"""A KindName with two nodes, their reservations, and the runs on them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Row = dict[str, Any]


class Bench:
    """The state of the service. `lose_answers`: changes are made, and a proxy answers in its place."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.lose_answers = False
        self.changes: list[str] = []
        self.nodes: list[Row] = [
            {"id": "node-1", "online": True, "reservation": None},
            {"id": "node-2", "online": True, "reservation": None},
        ]
        self.runs: list[Row] = [
            {"id": f"run-{number}", "test": test, "node": node, "result": result, "started": started, "message": said}
            for number, test, node, result, started, said in (
                (1, "boot", "node-1", "passed", "2026-11-20T08:00:00Z", ""),
                (2, "zap", "node-1", "failed", "2026-11-20T09:00:00Z", "Zapping took 2.6 s"),
                (3, "boot", "node-2", "passed", "2026-11-20T10:00:00Z", ""),
            )
        ]

    def reserve(self, node_id: str, holder: str, message: str, seconds: int | None = None) -> Row:
        """Have somebody reserve a node; `you` is the token's user."""
        node = next(node for node in self.nodes if node["id"] == node_id)
        expires = None if seconds is None else (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        node["reservation"] = {
            "id": f"res-{len(self.changes)}-{node_id}",
            "node": node_id,
            "holder": holder,
            "mine": holder == "you",
            "message": message,
            "expires": expires,
        }
        return node["reservation"]

    def app(self) -> Starlette:
        """The service as an ASGI application."""
        return Starlette(
            routes=[
                Route("/api/account", self._account),
                Route("/api/nodes", self._nodes),
                Route("/api/runs", self._runs),
                Route("/api/reservations", self._reserve, methods=["POST"]),
                Route("/api/reservations/{id}", self._extend, methods=["PATCH"]),
                Route("/api/reservations/{id}", self._end, methods=["DELETE"]),
            ]
        )

    async def _account(self, request: Request) -> Response:
        return self._answer(request, {"login": "you"})

    async def _nodes(self, request: Request) -> Response:
        return self._answer(request, self.nodes)

    async def _runs(self, request: Request) -> Response:
        return self._answer(request, self.runs)

    async def _reserve(self, request: Request) -> Response:
        order = json.loads(await request.body())
        nodes = [node for node in self.nodes if node["id"] in order["nodes"]]
        if len(nodes) < len(order["nodes"]):
            return self._answer(request, None, 404)
        if any(node["reservation"] for node in nodes):
            return self._answer(request, None, 409)
        self.changes.append("reserve")
        made = [self.reserve(node["id"], "you", order["message"], order["seconds"]) for node in nodes]
        return self._answer(request, made, 201)

    async def _extend(self, request: Request) -> Response:
        held = self._held(request)
        if held is None:
            return self._answer(request, None, 404)
        seconds = json.loads(await request.body())["seconds"]
        self.changes.append("extend")
        held["expires"] = (datetime.fromisoformat(held["expires"]) + timedelta(seconds=seconds)).isoformat()
        return self._answer(request, held)

    async def _end(self, request: Request) -> Response:
        held = self._held(request)
        if held is None:
            return self._answer(request, None, 404)
        self.changes.append("end")
        next(node for node in self.nodes if node["id"] == held["node"])["reservation"] = None
        return self._answer(request, None, 204)

    def _held(self, request: Request) -> Row | None:
        rows = [node["reservation"] for node in self.nodes if node["reservation"]]
        return next((row for row in rows if row["id"] == request.path_params["id"]), None)

    def _answer(self, request: Request, body: object, status: int = 200) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return JSONResponse({"message": "unauthorized"}, 401)
        if self.lose_answers and request.method != "GET":
            return JSONResponse({"message": "bad gateway"}, 502)
        return Response(status_code=204) if status == 204 else JSONResponse(body, status)
