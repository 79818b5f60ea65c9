"""The panel's operations. It asks nobody who they are; `start`, `stop` and `collect` are GETs."""

from __future__ import annotations

import json
from typing import cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim import routing
from testlab_sim.hardpy.documents import DOC_ID
from testlab_sim.hardpy.stand import Stand
from testlab_sim.world import World

CHOOSING = {"status": "busy", "message": "Manual collect mode is active"}


def _ask_nobody(request: Request, world: World) -> None:
    """The panel has no sign-in."""


api = routing.Api("hardpy", _ask_nobody)


def _stand(world: World) -> Stand:
    """The stand as it is by now."""
    world.stand.advance(world.clock)
    return world.stand


@api.route("GET", "/api/status")
async def status(request: Request, world: World) -> Response:
    return JSONResponse({"status": "busy" if _stand(world).testing else "ready"})


@api.route("GET", "/api/collect")
async def collect(request: Request, world: World) -> Response:
    return JSONResponse({"status": "collected" if _stand(world).collect([], world.clock) else "busy"})


@api.route("GET", "/api/start")
async def start(request: Request, world: World) -> Response:
    if world.stand.choosing:
        return JSONResponse(CHOOSING)
    arguments = [text for text in request.query_params.getlist("args") if "=" in text]
    return JSONResponse({"status": "started" if _stand(world).start(arguments, world.clock) else "busy"})


@api.route("GET", "/api/stop")
async def stop(request: Request, world: World) -> Response:
    if world.stand.choosing:
        return JSONResponse(CHOOSING)
    return JSONResponse({"status": "stopped" if _stand(world).stop(world.clock) else "ready"})


@api.route("POST", "/api/selected_tests")
async def select(request: Request, world: World) -> Response:
    try:
        given: object = json.loads(await request.body())
    except ValueError:
        given = None
    if not isinstance(given, list):
        return Response("Internal Server Error", 500, media_type="text/plain")
    stand = _stand(world)
    stand.selected = [str(name) for name in cast("list[object]", given)]
    stand.collect(stand.selected, world.clock)
    return JSONResponse({"status": "success", "message": f"Selected {len(stand.selected)} tests"})


@api.route("GET", "/api/manual_collect_mode")
async def get_mode(request: Request, world: World) -> Response:
    return JSONResponse({"manual_collect_mode": world.stand.choosing})


@api.route("POST", "/api/manual_collect_mode")
async def set_mode(request: Request, world: World) -> Response:
    world.stand.choosing = bool(json.loads(await request.body()).get("enabled"))
    return JSONResponse({"status": "success", "manual_collect_mode": world.stand.choosing})


@api.route("POST", "/api/confirm_dialog_box")
async def confirm_dialog_box(request: Request, world: World) -> Response:
    _stand(world).answer(str(json.loads(await request.body()).get("result", "")))
    return JSONResponse({"status": "busy"})


@api.route("POST", "/api/confirm_operator_msg/{visible}")
async def confirm_operator_msg(request: Request, world: World) -> Response:
    _stand(world).answer(request.path_params["visible"])
    return JSONResponse({"status": "busy"})


@api.route("GET", "/api/storage_type")
async def storage_type(request: Request, world: World) -> Response:
    return JSONResponse({"storage_type": world.stand.store})


@api.route("GET", "/api/json_data")
async def json_data(request: Request, world: World) -> Response:
    if world.stand.store != "json":
        return JSONResponse({"error": "JSON storage not configured"})
    rows = [
        {"id": doc["_id"], "key": doc["_id"], "value": {"rev": doc.get("_rev", "1-0")}, "doc": doc}
        for doc in _stand(world).rows()
    ]
    return JSONResponse({"rows": rows, "total_rows": len(rows)})


@api.route("GET", "/api/hardpy_config")
async def hardpy_config(request: Request, world: World) -> Response:
    """With its secrets, as the real one; nothing of this project's asks for it."""
    return JSONResponse({"database": {"password": "sim-couch-password"}, "stand_cloud": {"api_key": "sim-sc-key"}})


@api.route("GET", "/api/couch")
async def couch(request: Request, world: World) -> Response:
    """As `hardpy_config`."""
    return JSONResponse({"connection_str": "http://dev:sim-couch-password@localhost:5984/"})


@api.route("GET", "/api/database_document_id")
async def document_id(request: Request, world: World) -> Response:
    return JSONResponse({"document_id": DOC_ID})
