"""Writing: the one upload StandCloud takes, a HardPy report (`ResultRunStore`, hardpy 0.25.2)."""

from __future__ import annotations

import json
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.production.plant import Stand
from testlab_sim.production.stands import Stands, TestRow
from testlab_sim.standcloud.service import Refusal, operation
from testlab_sim.world import World

# HardPy writes its own words for what StandCloud calls pass, fail, skip and stop.
_STATUSES = {"passed": "pass", "failed": "fail", "error": "fail", "skipped": "skip", "stopped": "stop"}
_NEEDED = ("status", "start_time", "stop_time", "name", "dut", "test_stand", "modules")


@operation("POST", "/test_report", success=201, fails=(422,), prefixes=("/hardpy/api/v1",))
async def load_test_report(request: Request, world: World) -> Response:
    """Load a HardPy report; answers with the id of its test run."""
    report = await _report(request)
    row = _row(world.production.stands, report)
    world.production.stands.add(row)
    return JSONResponse({"id": row.id, "test_run_id": row.id}, 201)


async def _report(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body(), parse_constant=str)
    except ValueError:
        raise Refusal(422, [{"type": "json_invalid", "loc": ["body"], "msg": "JSON decode error"}]) from None
    report = cast("dict[str, Any]", body if isinstance(body, dict) else {})
    issues: list[dict[str, Any]] = [
        {"type": "missing", "loc": ["body", key], "msg": "Field required", "input": None}
        for key in _NEEDED
        if report.get(key) is None
    ]
    issues += _misfits(report)
    if report.get("status") not in (None, *_STATUSES):
        issues.append(
            {"type": "enum", "loc": ["body", "status"], "msg": f"Input should be one of {', '.join(_STATUSES)}"}
        )
    if issues:
        raise Refusal(422, issues)
    return report


def _misfits(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Fields of the wrong type."""
    kinds: dict[str, tuple[type, ...]] = dict.fromkeys(("dut", "test_stand", "modules"), (dict,))
    kinds |= dict.fromkeys(("start_time", "stop_time"), (int, float))
    wrong = [key for key, kind in kinds.items() if report.get(key) is not None and not isinstance(report[key], kind)]
    return [{"type": "type_error", "loc": ["body", key], "msg": "Input has the wrong type"} for key in wrong]


def _row(stands: Stands, report: dict[str, Any]) -> TestRow:
    dut: dict[str, Any] = report["dut"]
    plan, serial = str(report["name"]), dut.get("serial_number")
    info: dict[str, Any] = dut.get("info") or {}
    attempt = 1 + sum(row.plan == plan and row.serial == serial for row in stands.rows)
    return TestRow(
        stands.next_number(),
        plan,
        serial,
        str(dut.get("part_number") or ""),
        report.get("batch_serial_number") or info.get("batch_number"),
        attempt,
        _STATUSES[report["status"]],
        float(report["start_time"]),
        float(report["stop_time"]),
        _stand(report["test_stand"]),
        str(report.get("caused_dut_failure_id") or ""),
        info,
        report,
        report.get("artifact") or {},
    )


def _stand(stand: dict[str, Any]) -> Stand:
    return Stand(
        str(stand.get("hw_id") or ""),
        str(stand.get("name") or ""),
        stand.get("number"),
        stand.get("location"),
        stand.get("info") or {},
    )
