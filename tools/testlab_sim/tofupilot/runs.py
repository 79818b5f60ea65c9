"""v2 runs: create, list, get, update, metadata, delete."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.ids import is_uuid
from testlab_sim.production.records import Procedure, Run, Station
from testlab_sim.tofupilot import files
from testlab_sim.tofupilot.intake import record
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.run_filters import RUN_SORTS, filter_runs, own_tests, run_tests
from testlab_sim.tofupilot.service import Refusal, body_of, caller, invalid, operation, reply, text_in
from testlab_sim.tofupilot.shapes import run_head, run_whole
from testlab_sim.world import World


@operation("POST", "/api/v2/runs")
async def create_run(request: Request, world: World) -> Response:
    """Create a run. The same `client_run_ref` again answers with the run it made."""
    from testlab_sim.tofupilot.drafts import draft_of

    history = world.production
    body = await body_of(request)
    ref = body.get("client_run_ref")
    if isinstance(ref, str) and (known := history.run_refs.get(ref)):
        return reply({"id": known.id})
    who = caller(request, world)
    assert who is not None
    draft = draft_of(history, body, lambda procedure: _check_link(who, procedure))
    _check_slot(history, draft.detail.execution_id, draft.detail.slot_key)
    run = record(history, draft, who, world.clock.now())
    if isinstance(ref, str):
        history.run_refs[ref] = run
    return reply({"id": run.id})


def _check_link(who: object, procedure: Procedure) -> None:
    if isinstance(who, Station) and procedure not in who.procedures:
        raise Refusal(403, f"Station {who.name} is not linked to procedure {procedure.name}")


def _check_slot(history: History, execution_id: str | None, slot_key: str | None) -> None:
    if slot_key is None:
        return
    if execution_id is None:
        raise invalid("slot_key", "requires execution_id")
    for run in history.runs:
        if run.detail and (run.detail.execution_id, run.detail.slot_key) == (execution_id, slot_key):
            raise Refusal(409, f"Execution {execution_id} already has a run for slot {slot_key}")


@operation("GET", "/api/v2/runs")
async def list_runs(request: Request, world: World) -> Response:
    """List and filter runs."""
    history, query = world.production, Query(request.query_params)
    runs = filter_runs(history, run_tests(query) + own_tests(query, history), query.many("serial_numbers"))
    by = query.one_of("sort_by", tuple(RUN_SORTS))
    descending = query.one_of("sort_order", ("desc", "asc")) == "desc"
    if by != "started_at" or not descending:
        runs.sort(key=RUN_SORTS[by], reverse=descending)
    extra = (query.flag("include_metadata"), query.flag("include_sequences"))
    return page(query, runs, lambda run: _row(history, run, *extra))


def _row(history: History, run: Run, metadata: bool | None, sequences: bool | None) -> dict[str, Any]:
    row = run_head(run)
    if metadata:
        row["metadata"] = history.metadata(run)
    if sequences:
        row["sequences"] = history.detail(run).sequences
    return row


@operation("DELETE", "/api/v2/runs")
async def delete_runs(request: Request, world: World) -> Response:
    """Delete runs with their phases, measurements and attachments, for good."""
    history = world.production
    ids = request.query_params.getlist("ids")
    if not ids:
        raise invalid("ids", "at least one is required")
    runs = [find_run(history, uuid) for uuid in dict.fromkeys(ids)]
    for run in runs:
        history.delete_run(run)
    return reply({"id": [run.id for run in runs]})


@operation("GET", "/api/v2/runs/{id}")
async def get_run(request: Request, world: World) -> Response:
    """Get a run with its phases, measurements, attachments and logs."""
    uuid = request.path_params["id"]
    if not is_uuid(uuid):
        raise invalid("id", "Invalid uuid")
    run = find_run(world.production, uuid)
    return reply(run_whole(world.production, run, files.downloads(world)))


@operation("POST", "/api/v2/runs/{id}/attachments")
async def create_run_attachment(request: Request, world: World) -> Response:
    """Announce a file for a run; answers with the URL to PUT it to."""
    run = find_run(world.production, request.path_params["id"])
    return files.announce(world, text_in(await body_of(request), "name"), run)


def find_run(history: History, uuid: str) -> Run:
    run = history.find_run(uuid)
    if run is None:
        raise Refusal(404, f"Run with ID {uuid} not found")
    return run


def merge_metadata(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Metadata after a PATCH: at most 50 keys."""
    new = {key: value for key, value in {**old, **changes}.items() if value is not None}
    if len(new) > 50:
        raise invalid("metadata", "at most 50 keys")
    return new
