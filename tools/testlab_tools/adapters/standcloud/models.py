"""StandCloud's own shapes: `TestRun` as `standcloud-integration` 0.1.0 types it, leniently where sources disagree."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field

from testlab_tools.http.response import Uuid, Wire
from testlab_tools.models.lab import Outcome
from testlab_tools.times import Moment, seconds

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
    """`"00:12:34"` (by id), `"PT50S"` or seconds."""
    try:
        if isinstance(value, str):
            return timedelta(seconds=seconds(value))
        return timedelta(seconds=value) if isinstance(value, int | float) else value
    except OverflowError:
        raise ValueError("a duration must be shorter than a million years") from None


def _text(value: Any) -> Any:
    """A number where a name is meant, and null where there is none."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text)]
Length = Annotated[timedelta | None, BeforeValidator(_length)]


class TestRunRow(Wire):
    """An element of `GET /test_run`, and the whole of `GET /test_run/{id}`. Fields that no document lists are in
    `model_extra`.

    The end is `finish_time` in the vendor's client, `stop_time` in HardPy's document; some replies have both.
    """

    __test__ = False
    model_config = ConfigDict(extra="allow")

    test_run_id: Uuid
    number_of_attempt: int | None = None
    batch_number: Text = ""
    test_plan_name: Text
    status: str
    serial_number: Text = ""
    part_number: Text = ""
    start_time: Moment | None = None
    finish_time: Annotated[Moment | None, Field(validation_alias=AliasChoices("finish_time", "stop_time"))] = None
    duration: Length = None
    test_stand_name: Text = ""
    test_stand_hw_id: Text = ""
    dut_info: dict[str, Any] | None = None
    test_stand_info: dict[str, Any] | None = None
    test_run_artifact: dict[str, Any] | None = None

    @property
    def seconds(self) -> float:
        """How long it took: as it says, else from its start to its end."""
        if not self.duration and self.start_time and self.finish_time:
            return (self.finish_time - self.start_time).total_seconds()
        return self.duration.total_seconds() if self.duration else 0.0


class CaseMeasurement(Wire):
    """A measurement of a HardPy case; `result` is null unless an operation was set."""

    name: str = ""
    value: Any = None
    unit: str | None = None
    result: bool | None = None
    operation: str | None = None
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
