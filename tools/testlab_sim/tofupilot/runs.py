"""v2 runs: create, list, get, delete, and the filters that lists of runs and of their parts share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.production.history import History
from testlab_sim.production.index import Span, latest, select
from testlab_sim.production.records import Run, Station, is_uuid
from testlab_sim.tofupilot import files
from testlab_sim.tofupilot.intake import record
from testlab_sim.tofupilot.query import Query, page
from testlab_sim.tofupilot.service import Refusal, api, body_of, caller, found, invalid, text_in
from testlab_sim.tofupilot.shapes import run_head, run_whole
from testlab_sim.world import World

Test = Callable[[Run], bool]

RUN_OUTCOMES = ("PASS", "FAIL", "ERROR", "TIMEOUT", "ABORTED")


@api.route("POST", "/api/v2/runs")
async def create_run(request: Request, world: World) -> Response:
    """Create a run. The same `client_run_ref` again answers with the run it made."""
    from testlab_sim.tofupilot.run_body import draft_of

    history = world.production
    body = await body_of(request)
    ref = body.get("client_run_ref")
    if isinstance(ref, str) and (known := history.run_refs.get(ref)):
        return JSONResponse({"id": known.id})
    who = caller(request, world)
    draft = draft_of(history, body)
    if isinstance(who, Station) and draft.procedure not in who.procedures:
        raise Refusal(403, f"Station {who.name} is not linked to procedure {draft.procedure.name}")
    run = record(history, draft, who, world.clock.now())
    if isinstance(ref, str):
        history.run_refs[ref] = run
    return JSONResponse({"id": run.id})


@api.route("GET", "/api/v2/runs")
async def list_runs(request: Request, world: World) -> Response:
    """List and filter runs."""
    query = Query(request)
    tests: list[Test] = []
    if query.text("search_query"):
        tests.append(lambda run: query.finds(run.unit.serial, run.procedure.name))
    runs = filter_runs(world.production, query, "outcomes", tests, ids=query.many("ids"))
    descending = query.descending("started_at", "created_at", "duration")
    if query.text("sort_by") == "created_at":
        runs = latest(runs, "created")
    if query.text("sort_by") == "duration":
        runs = sorted(runs, key=lambda run: run.ended - run.started, reverse=True)
    return page(query, runs if descending else runs[::-1], run_head)


def filter_runs(
    history: History,
    query: Query,
    outcomes_key: str,
    own: list[Test],
    procedure_id: str = "",
    ids: frozenset[str] = frozenset(),
) -> Sequence[Run]:
    """The runs that meet the shared filters and the list's `own`, newest start first; of `ids`, if there are any."""
    runs: Sequence[Run] = history.runs
    serials = query.many("serial_numbers")
    if ids:
        runs = sorted((run for uuid in ids if (run := history.find_run(uuid))), key=lambda run: run.started)
        own = [*own, lambda run: not serials or run.unit.serial.lower() in serials]
    elif serials:
        units = [unit for serial in serials if (unit := history.find_unit(serial))]
        runs = sorted((run for unit in units for run in unit.runs), key=lambda run: run.started)
    spans = [
        Span(time, query.instant(f"{time}_after"), query.instant(f"{time}_before")) for time in ("started", "created")
    ]
    return select(runs, _kind_tests(query, outcomes_key, procedure_id), own, *spans)[::-1]


def _kind_tests(query: Query, outcomes_key: str, procedure_id: str) -> list[Test]:
    """The filters that ask for a procedure, part, station or outcome."""
    tests: list[Test] = []

    def among(wanted: frozenset[str], value: Callable[[Run], str]) -> None:
        if wanted:
            tests.append(lambda run: value(run).lower() in wanted)

    among(query.many("procedure_ids"), lambda run: run.procedure.id)
    among(frozenset({procedure_id.lower()} - {""}), lambda run: run.procedure.id)
    among(query.many("part_numbers"), lambda run: run.unit.part.part_number)
    among(query.many("created_by_station_ids"), lambda run: run.station.id if run.station else "")
    if outcomes := query.choice(outcomes_key, RUN_OUTCOMES):
        tests.append(lambda run: run.outcome in outcomes)
    return tests


@api.route("DELETE", "/api/v2/runs")
async def delete_runs(request: Request, world: World) -> Response:
    """Delete runs with their phases, measurements and attachments, for good."""
    history = world.production
    ids = request.query_params.getlist("ids")
    if not ids:
        raise invalid("ids", "at least one is required")
    runs = [find_run(history, uuid) for uuid in dict.fromkeys(ids)]
    for run in runs:
        history.delete_run(run)
    return JSONResponse({"id": [run.id for run in runs]})


@api.route("GET", "/api/v2/runs/{id}")
async def get_run(request: Request, world: World) -> Response:
    """Get a run with its phases, measurements, attachments and logs."""
    uuid = request.path_params["id"]
    if not is_uuid(uuid):
        raise invalid("id", "Invalid uuid")
    run = find_run(world.production, uuid)
    return JSONResponse(run_whole(world.production, run, lambda file_id: files.link(world, "GET", file_id)))


@api.route("POST", "/api/v2/runs/{id}/attachments")
async def create_run_attachment(request: Request, world: World) -> Response:
    """Announce a file for a run; answers with the URL to PUT it to."""
    run = find_run(world.production, request.path_params["id"])
    world.production.keep(run.unit)
    return files.announce(world, text_in(await body_of(request), "name"), run)


def find_run(history: History, uuid: str) -> Run:
    return found(history.find_run(uuid), f"Run with ID {uuid}")
