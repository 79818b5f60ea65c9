"""Reading: test runs and their failed cases. Nothing is paged unless `limit` or `offset` asks for it.

The endpoints do not agree with each other, and neither do their shapes:

- Lists give `finish_time`, an ISO 8601 duration (`PT50S`) and a lower-case status; a single run under `/hardpy` gives
  `stop_time`, `00:12:34` and an upper-case status (HardPy docs, "StandCloud reader"), under `/integration` both times.
- `failed_case` has no documented shape: these are HardPy's case records with where they stand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from testlab_sim.production.index import select
from testlab_sim.production.stands import Stands, TestRow
from testlab_sim.standcloud.service import Refusal, operation
from testlab_sim.world import World, iso

Value = Callable[[TestRow], object]
Test = Callable[[TestRow], bool]

_FIELDS: dict[str, Value] = {
    "test_run_id": lambda row: row.id,
    "test_plan_name": lambda row: row.plan,
    "number_of_attempt": lambda row: row.attempt,
    "status": lambda row: row.status,
    "start_time": lambda row: _stamp(row.started),
    "finish_time": lambda row: _stamp(row.finished),
    "stop_time": lambda row: _stamp(row.finished),
    "duration": lambda row: f"PT{round(row.finished - row.started)}S",
    "serial_number": lambda row: row.serial,
    "part_number": lambda row: row.part,
    "batch_number": lambda row: row.batch,
    "test_stand_hw_id": lambda row: row.stand.hw_id,
    "test_stand_name": lambda row: row.stand.name,
    "test_stand_number": lambda row: row.stand.number,
    "test_stand_location": lambda row: row.stand.location,
}
_OF_KIND = frozenset({"test_plan_name", "status", "number_of_attempt", "part_number", "batch_number"}) | {
    key for key in _FIELDS if key.startswith("test_stand_")
}
"""Fields that are alike in many rows."""

_ICONS = {"pass": "✅", "fail": "❌", "skip": "⏭️", "stop": "🛑"}
_PAGING = ("limit", "offset")
_CHUNK = 400


@operation("/test_run")
async def list_test_runs(request: Request, world: World) -> Response:
    """Test runs, newest first. Any key of `dut.info` is a filter too; `limit` and `offset` page."""
    return _stream_array(request, _filter_rows(request, world.production.stands))


@operation("/test_run/{test_run_id}")
async def get_test_run(request: Request, world: World) -> Response:
    """One test run."""
    return JSONResponse(_run_detail(_find(request, world), hardpy="/hardpy/" in request.url.path))


@operation("/test_run/{test_run_id}/failed_case")
async def get_failed_cases(request: Request, world: World) -> Response:
    """The failed cases of a test run."""
    return JSONResponse(_failed_cases(world.production.stands, _find(request, world)))


def _filter_rows(request: Request, stands: Stands) -> Sequence[TestRow]:
    """The rows, newest first, whose fields, or `dut.info`, equal the query's values, in any case."""
    given = [item for item in request.query_params.multi_items() if item[0] not in _PAGING]
    serial = request.query_params.get("serial_number")
    rows = stands.rows if serial is None else stands.of_serial(serial)
    of_kind, own = ([_equals(key, text) for key, text in given if (key in _OF_KIND) is kind] for kind in (True, False))
    return select(rows, of_kind, own)[::-1]


def _equals(key: str, text: str) -> Test:
    value, wanted = _FIELDS.get(key) or _read_info(key), text.casefold()
    return lambda row: str(value(row)).casefold() == wanted


def _read_info(key: str) -> Value:
    return lambda row: row.info.get(key)


def _find(request: Request, world: World) -> TestRow:
    row = world.production.stands.find(request.path_params["test_run_id"])
    if row is None:
        raise Refusal(404, "Test run not found")
    return row


def _read_integer(request: Request, key: str) -> int | None:
    text = request.query_params.get(key)
    if text is None:
        return None
    if not text.isdigit():
        raise Refusal(422, [{"type": "int_parsing", "loc": ["query", key], "input": text}])
    return int(text)


def _stream_array(request: Request, rows: Sequence[TestRow]) -> Response:
    limit, offset = _read_integer(request, "limit"), _read_integer(request, "offset") or 0
    end = None if limit is None else offset + limit
    return StreamingResponse(_encode_chunks(rows[offset:end]), media_type="application/json")


async def _encode_chunks(rows: Sequence[TestRow]) -> AsyncIterator[str]:
    """A JSON array a few hundred rows at a time, so that one large answer does not hold up the others."""
    yield "["
    for start in range(0, len(rows), _CHUNK):
        yield ("," if start else "") + ",".join(map(_write_row, rows[start : start + _CHUNK]))
        await asyncio.sleep(0)
    yield "]"


@lru_cache(maxsize=1 << 14)
def _write_row(row: TestRow) -> str:
    """A row as JSON; rows never change."""
    return json.dumps(_run_row(row), separators=(",", ":"), ensure_ascii=False)


def _stamp(seconds: float) -> str:
    """ISO 8601 UTC, `Z`, whole seconds."""
    return iso(seconds, "")[:19] + "Z"


def _run_row(row: TestRow) -> dict[str, Any]:
    """A row of `GET /test_run`: the vendor's `TestRun` (standcloud-integration 0.1.0)."""
    return {
        "test_run_id": row.id,
        "test_plan_name": row.plan,
        "number_of_attempt": row.attempt,
        "status": row.status,
        "status_icon": _ICONS[row.status],
        "test_run_artifact": {},
        "start_time": _stamp(row.started),
        "finish_time": _stamp(row.finished),
        "duration": f"PT{round(row.finished - row.started)}S",
        "serial_number": row.serial,
        "part_number": row.part,
        "batch_number": row.batch,
        "dut_info": row.info,
        "test_stand_hw_id": row.stand.hw_id,
        "test_stand_name": row.stand.name,
        "test_stand_number": row.stand.number,
        "test_stand_location": row.stand.location,
        "test_stand_info": row.stand.info,
    }


def _run_detail(row: TestRow, *, hardpy: bool) -> dict[str, Any]:
    """`GET /test_run/{id}`."""
    shown = _run_row(row)
    seconds = round(row.finished - row.started)
    shown["status"] = row.status.upper()
    shown["duration"] = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    shown["stop_time"] = shown["finish_time"]
    if hardpy:
        del shown["finish_time"]
    return shown


def _failed_cases(stands: Stands, row: TestRow) -> list[dict[str, Any]]:
    """The failed cases of a run, derived from its cause."""
    found = stands.failed_case(row)
    if found is None:
        return []
    module, case, title, measurement = found
    low, high, value = measurement["lower_limit"], measurement["upper_limit"], measurement["value"]
    text = f"{measurement['name']} {value} {measurement['unit']}"
    broken = f"is below {low}" if low is not None and value < low else f"is above {high}"
    return [
        {
            "module_id": module,
            "case_id": case,
            "status": "Fail",
            "start_time": int(row.started),
            "stop_time": int(row.finished),
            "name": title,
            "assertion_msg": f"AssertionError: {text} {broken}",
            "msg": {"0": text},
            "measurements": [measurement],
            "chart": None,
            "attempt": 1,
            "group": "main",
            "artifact": {},
        }
    ]
