"""StandCloud's own shapes: `TestRun` as `standcloud-integration` 0.1.0 types it, leniently where sources disagree."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field

from testlab_tools.models import Outcome
from testlab_tools.times import Moment, seconds
from testlab_tools.wire import Id, Wire

_OUTCOMES: dict[str, Outcome] = {
    "pass": "pass",
    "passed": "pass",
    "fail": "fail",
    "failed": "fail",
    "error": "error",
    "skip": "skip",
    "skipped": "skip",
    "stop": "stopped",
    "stopped": "stopped",
    "run": "running",
    "running": "running",
}


def outcome(status: str) -> Outcome:
    """The public API writes `pass`, the reader's examples `FAIL`, HardPy's own reports `failed`."""
    return _OUTCOMES.get(status.casefold(), "error")


def _length(value: Any) -> Any:
    """`"00:12:34"` (by id), `"PT50S"` (tested_dut) or seconds."""
    try:
        if isinstance(value, str):
            return timedelta(seconds=seconds(value))
        return timedelta(seconds=value) if isinstance(value, int | float) else value
    except OverflowError:
        raise ValueError("a duration must be shorter than a million years") from None


class TestRunRow(Wire):
    """An element of `GET /test_run`, and the whole of `GET /test_run/{id}`.

    The end is `finish_time` in the vendor's client, `stop_time` in HardPy's document.
    """

    __test__ = False

    test_run_id: Id
    test_plan_name: str
    status: str
    number_of_attempt: int = 0
    serial_number: str | None = None
    part_number: str = ""
    start_time: Moment | None = None
    finish_time: Annotated[Moment | None, Field(validation_alias=AliasChoices("finish_time", "stop_time"))] = None
    duration: Annotated[timedelta | None, BeforeValidator(_length)] = None
    test_stand_name: str = ""
    test_stand_hw_id: str = ""
    batch_number: str | None = None
    dut_info: dict[str, Any] | None = None
    test_stand_info: dict[str, Any] | None = None
    test_run_artifact: dict[str, Any] | None = None


class CaseMeasurement(Wire):
    """A measurement of a HardPy case; `result` is null unless an operation was set."""

    name: str = ""
    value: Any = None
    unit: str | None = None
    result: bool | None = None
    comparison_value: Any = None
    lower_limit: float | None = None
    upper_limit: float | None = None


class FailedCaseRow(Wire):
    """An element of `GET /test_run/{id}/failed_case`: a HardPy case. The public document does not show its fields."""

    name: Annotated[str, Field(validation_alias=AliasChoices("name", "case_name", "test_case_name"))]
    status: str = "fail"
    attempt: int = 1
    assertion_msg: Annotated[
        str | None, Field(validation_alias=AliasChoices("assertion_msg", "message", "error_message"))
    ] = None
    msg: dict[str, str] | list[str] | str | None = None
    measurements: list[CaseMeasurement] | None = None
