"""StandCloud's JSON. Its endpoints do not agree with each other, and neither do these shapes.

- Lists give `finish_time`, an ISO 8601 duration (`PT50S`) and a lower-case status; a single run under `/hardpy` gives
  `stop_time`, `00:12:34` and an upper-case status (HardPy docs, "StandCloud reader"), under `/integration` both times.
- `failed_case` has no documented shape: these are HardPy's case records with where they stand.
"""

from __future__ import annotations

from typing import Any

from testlab_sim.clock import iso
from testlab_sim.production.stands import Stands, TestRow

_ICONS = {"pass": "✅", "fail": "❌", "skip": "⏭️", "stop": "🛑"}


def stamp(seconds: float) -> str:
    """ISO 8601 UTC, `Z`, whole seconds."""
    return iso(seconds, "")[:19] + "Z"


def run_row(row: TestRow) -> dict[str, Any]:
    """A row of `GET /test_run`: the vendor's `TestRun` (standcloud-integration 0.1.0)."""
    return {
        "test_run_id": row.id,
        "test_plan_name": row.plan,
        "number_of_attempt": row.attempt,
        "status": row.status,
        "status_icon": _ICONS[row.status],
        "test_run_artifact": {},
        "start_time": stamp(row.started),
        "finish_time": stamp(row.finished),
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


def run_detail(row: TestRow, *, hardpy: bool) -> dict[str, Any]:
    """`GET /test_run/{id}`."""
    shown = run_row(row)
    seconds = round(row.finished - row.started)
    shown["status"] = row.status.upper()
    shown["duration"] = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    shown["stop_time"] = shown["finish_time"]
    if hardpy:
        del shown["finish_time"]
    return shown


def device_row(row: TestRow, attempts: int) -> dict[str, Any]:
    """A row of `GET /tested_dut`: the last run of a device on a test plan, and how often it was started."""
    shown = run_row(row)
    for key in ("test_run_id", "number_of_attempt"):
        del shown[key]
    return shown | {"attempt_count": attempts}


def failed_cases(stands: Stands, row: TestRow) -> list[dict[str, Any]]:
    """The failed cases of a run, derived from its cause."""
    found = stands.failed_case(row)
    if row.status != "fail" or found is None:
        return []
    module, case, title, measurement = found
    low, high = measurement["lower_limit"], measurement["upper_limit"]
    text = f"{measurement['name']} {measurement['value']} {measurement['unit']}"
    return [
        {
            "module_id": module,
            "case_id": case,
            "status": "Fail",
            "start_time": int(row.started),
            "stop_time": int(row.finished),
            "name": title,
            "assertion_msg": f"AssertionError: {text} out of {low}..{high}",
            "msg": {"0": text},
            "measurements": [measurement],
            "chart": None,
            "attempt": 1,
            "group": "main",
            "artifact": {},
        }
    ]
