"""Reading: test runs, their failed cases, tested devices. Nothing is paged unless `limit` or `offset` asks for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from testlab_sim.production.ids import is_uuid
from testlab_sim.production.stands import Stands, TestRow
from testlab_sim.standcloud.service import Refusal, operation
from testlab_sim.standcloud.shapes import device_row, failed_cases, run_detail, run_row, stamp
from testlab_sim.world import World

Value = Callable[[TestRow], object]
Shape = Callable[[TestRow], dict[str, Any]]

_FIELDS: dict[str, Value] = {
    "test_run_id": lambda row: row.id,
    "test_plan_name": lambda row: row.plan,
    "number_of_attempt": lambda row: row.attempt,
    "status": lambda row: row.status,
    "start_time": lambda row: stamp(row.started),
    "finish_time": lambda row: stamp(row.finished),
    "stop_time": lambda row: stamp(row.finished),
    "duration": lambda row: f"PT{round(row.finished - row.started)}S",
    "serial_number": lambda row: row.serial,
    "part_number": lambda row: row.part,
    "batch_number": lambda row: row.batch,
    "test_stand_hw_id": lambda row: row.stand.hw_id,
    "test_stand_name": lambda row: row.stand.name,
    "test_stand_number": lambda row: row.stand.number,
    "test_stand_location": lambda row: row.stand.location,
}
_PAGING = ("limit", "offset")
_CHUNK = 400


@operation("/test_run")
async def list_test_runs(request: Request, world: World) -> Response:
    """Test runs, newest first. Any key of `dut.info` is a filter too; `limit` and `offset` page."""
    rows = filter_rows(request, reversed(world.production.stands.rows))
    return _stream_array(request, rows, run_row)


@operation("/test_run/{test_run_id}")
async def get_test_run(request: Request, world: World) -> Response:
    """One test run."""
    return JSONResponse(run_detail(_find(request, world), hardpy="/hardpy/" in request.url.path))


@operation("/test_run/{test_run_id}/failed_case")
async def get_failed_cases(request: Request, world: World) -> Response:
    """The failed cases of a test run."""
    return JSONResponse(failed_cases(world.production.stands, _find(request, world)))


@operation("/tested_dut")
async def list_tested_duts(request: Request, world: World) -> Response:
    """The last test run of each device on each test plan, newest first; `attempt_count` is how often it was started."""
    last, counts = _last_runs(world.production.stands)
    wanted = _read_integer(request, "attempt_count")
    rows = filter_rows(request, reversed(last), ("attempt_count",))
    if wanted is not None:
        rows = [row for row in rows if counts[row.plan, row.serial] == wanted]
    return _stream_array(request, rows, lambda row: device_row(row, counts[row.plan, row.serial]))


def _last_runs(stands: Stands) -> tuple[list[TestRow], dict[tuple[str, str | None], int]]:
    last: dict[tuple[str, str | None], TestRow] = {}
    counts: dict[tuple[str, str | None], int] = {}
    for row in stands.rows:
        key = (row.plan, row.serial)
        last.pop(key, None)
        last[key] = row
        counts[key] = counts.get(key, 0) + 1
    return list(last.values()), counts


def filter_rows(request: Request, rows: Iterable[TestRow], beside: tuple[str, ...] = ()) -> list[TestRow]:
    """The rows whose fields, or `dut.info`, equal the query's values, in any case."""
    for key, text in request.query_params.multi_items():
        if key not in _PAGING and key not in beside:
            value, wanted = _FIELDS.get(key) or _read_info(key), text.casefold()
            rows = [row for row in rows if str(value(row)).casefold() == wanted]
    return list(rows)


def _read_info(key: str) -> Value:
    return lambda row: row.info.get(key)


def _find(request: Request, world: World) -> TestRow:
    uuid = request.path_params["test_run_id"]
    if not is_uuid(uuid):
        place = ["path", "test_run_id"]
        raise Refusal(
            422, [{"type": "uuid_parsing", "loc": place, "msg": "Input should be a valid UUID", "input": uuid}]
        )
    row = world.production.stands.find(uuid)
    if row is None:
        raise Refusal(404, "Test run not found")
    return row


def _read_integer(request: Request, key: str) -> int | None:
    text = request.query_params.get(key)
    if text is None:
        return None
    if not text.isdigit():
        message = "Input should be a valid integer"
        raise Refusal(422, [{"type": "int_parsing", "loc": ["query", key], "msg": message, "input": text}])
    return int(text)


def _stream_array(request: Request, rows: Sequence[TestRow], shape: Shape) -> Response:
    limit, offset = _read_integer(request, "limit"), _read_integer(request, "offset") or 0
    end = None if limit is None else offset + limit
    return StreamingResponse(_encode_chunks(rows[offset:end], shape), media_type="application/json")


async def _encode_chunks(rows: Sequence[TestRow], shape: Shape) -> AsyncIterator[str]:
    """A JSON array a few hundred rows at a time, so that one large answer does not hold up the others."""
    yield "["
    for start in range(0, len(rows), _CHUNK):
        shaped = [shape(row) for row in rows[start : start + _CHUNK]]
        part = json.dumps(shaped, separators=(",", ":"), ensure_ascii=False)
        yield ("," if start else "") + part[1:-1]
        await asyncio.sleep(0)
    yield "]"
