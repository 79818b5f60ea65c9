"""The simulated lab's control plane at `/_sim/`, for tests: faults, request counts, holds, the clock, large files,
nodes that go offline, jobs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from testlab_sim.fault_actions import Fault
from testlab_sim.faults import ACTION_NAMES, CONTROL, Faults, Traffic
from testlab_sim.stbtester.portal import Holds
from testlab_sim.stbtester.service import Refusal, body
from testlab_sim.world import World


class Control:
    """Handlers over the running lab's switches."""

    def __init__(self, world: World, faults: Faults, traffic: Traffic) -> None:
        self._world = world
        self._faults = faults
        self._traffic = traffic

    def routes(self) -> list[Route]:
        table = (
            ("GET", "faults", self.list_faults),
            ("POST", "faults", self.add_fault),
            ("DELETE", "faults", self.clear_faults),
            ("GET", "requests", self.list_requests),
            ("DELETE", "requests", self.clear_requests),
            ("POST", "holds", self.set_holds),
            ("POST", "clock", self.advance_clock),
            ("POST", "files", self.enlarge_file),
            ("POST", "nodes", self.set_node),
            ("GET", "jobs", self.list_jobs),
        )
        return [Route(CONTROL + name, handler, methods=[method]) for method, name, handler in table]

    async def list_faults(self, request: Request) -> Response:
        return JSONResponse(self._faults.json())

    async def add_fault(self, request: Request) -> Response:
        """`{"service", "path_prefix", "method", "action", "status", "retry_after", "times", …}`; see `Fault`. Several
        methods, with spaces between, get a fault each; the answer is the last."""
        given = await _object(request, asdict(Fault()))
        given["retry_after"] = str(given.get("retry_after", ""))
        fault = Fault(**given)
        if fault.action not in ACTION_NAMES:
            raise Refusal(400, f"Unknown action {fault.action!r}; known are {', '.join(ACTION_NAMES)}")
        added = [self._faults.add(replace(fault, method=method)) for method in fault.method.split() or [""]]
        return JSONResponse(asdict(added[-1]), 201)

    async def clear_faults(self, request: Request) -> Response:
        """All, or those of `?lane=NAME`."""
        self._faults.clear(request.query_params.get("lane", ""))
        return Response(status_code=204)

    async def list_requests(self, request: Request) -> Response:
        return JSONResponse(self._traffic.json())

    async def clear_requests(self, request: Request) -> Response:
        self._traffic.clear()
        return Response(status_code=204)

    async def set_holds(self, request: Request) -> Response:
        """`{"await_completion", "stop", "stopping"}`, any of them, in seconds; see `Holds`."""
        given = await _object(request, asdict(Holds()))
        self._world.portal.holds = replace(self._world.portal.holds, **given)
        self._world.portal.notify()
        return JSONResponse(asdict(self._world.portal.holds))

    async def advance_clock(self, request: Request) -> Response:
        """`{"advance_seconds"}`: let time pass at once, in real seconds."""
        given = await _object(request, ("advance_seconds",))
        self._world.clock.advance(float(given.get("advance_seconds", 0)))
        self._world.portal.notify()
        return JSONResponse({"now": self._world.clock.now()})

    async def enlarge_file(self, request: Request) -> Response:
        """`{"result_id", "name", "bytes"}`: give a result a file of that size; `stbt.log` makes its log that long."""
        given = await _object(request, ("result_id", "name", "bytes"))
        run = self._world.portal.run(str(given.get("result_id")))
        if run is None:
            raise Refusal(404, f"Unknown result_id {given.get('result_id')!r}")
        self._world.portal.artifacts.enlarge(run, str(given.get("name", "")), int(given.get("bytes", 0)))
        return Response(status_code=204)

    async def set_node(self, request: Request) -> Response:
        """`{"node_id", "online"}`: take a node's network away or give it back. Its job ends with it."""
        given = await _object(request, ("node_id", "online"))
        portal = self._world.portal
        node = portal.node(str(given.get("node_id")))
        node.online = bool(given.get("online", True))
        if not node.online and (job := portal.busy(node.node_id)):
            portal.stop(job)
        return Response(status_code=204)

    async def list_jobs(self, request: Request) -> Response:
        """The tags of every job, by its uid, in the order in which they were started."""
        return JSONResponse({uid: dict(job.tags) for uid, job in self._world.portal.jobs.items()})


async def _object(request: Request, known: Collection[str]) -> dict[str, Any]:
    """The request's JSON object, of `known` keys."""
    fields = await body(request)
    if unknown := sorted(fields.keys() - set(known)):
        raise Refusal(400, f"Unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return fields
