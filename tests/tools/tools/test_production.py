"""create_run: what an agent says is recorded as said, and never what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ConfigDict, ValidationError, validate_call

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import NewMeasurement, NewRun
from testlab_tools.registry import Call
from testlab_tools.tools.production import create_run

if TYPE_CHECKING:
    from tests.tools.conftest import Sink

through_the_tool = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(create_run.handler)
Record = Callable[..., Any]


@pytest.fixture
def record(sink: Sink, call_on: Callable[..., Call]) -> Record:
    """Record a run with these arguments beside the needed ones; gives the run as the service gets it."""

    async def recorded(**arguments: Any) -> NewRun:
        needed = {"procedure_id": "FVT1", "serial_number": "SN-1", "outcome": "pass"}
        await through_the_tool(call_on(sink), **{**needed, **arguments})
        return sink.runs[-1]

    return recorded


@pytest.fixture
def measured(record: Record) -> Record:
    """Record a run with this one measurement; gives the measurement as the service gets it."""

    async def recorded(**measurement: Any) -> NewMeasurement:
        phase = {"name": "p", "outcome": "pass", "measurements": [{"name": "m", **measurement}]}
        run = await record(phases=[phase])
        return run.phases[0].measurements[0]

    return recorded


@pytest.mark.parametrize(
    ("measurement", "outcome"),
    [
        ({"value": 5.0, "limits": "4.85 <= x <= 5.15"}, "pass"),
        ({"value": 5.31, "limits": "4.85 <= x <= 5.15"}, "fail"),
        ({"value": 5.15, "limits": "x <= 5.15"}, "pass"),
        ({"value": 0.0, "limits": "x >= 1"}, "fail"),
        ({"text": "1.4.2", "limits": "1.4.2"}, "pass"),
        ({"text": "1.4.2a", "limits": "1.4.2A"}, "fail"),
        ({"flag": True, "limits": "true"}, "pass"),
        ({"flag": False, "limits": "True"}, "fail"),
        ({"value": 5.0}, "pass"),
        ({"text": "anything"}, "pass"),
        ({"data": "[[1.0, 2.0]]"}, "pass"),
        ({"limits": "4.85 <= x <= 5.15"}, "unset"),
        ({}, "unset"),
    ],
)
async def test_an_outcome_left_out_is_worked_out(measurement: dict[str, Any], outcome: str, measured: Record) -> None:
    assert (await measured(**measurement)).outcome == outcome


@pytest.mark.parametrize(
    "measurement",
    [
        {"value": 5.0, "limits": "4.85 - 5.15"},
        {"value": 5.0, "limits": "4,85 <= x"},
        {"value": 5.0, "limits": "x < 5"},
        {"value": 5.0, "limits": "5"},
        {"value": 3.0, "limits": "1 <= x <= 5 and accepted by f"},
        {"text": "5.0", "limits": "4.85 <= x <= 5.15"},
        {"text": "123", "limits": r"'x' matches /^\d+$/"},
        {"data": "[1.0, 2.0]", "limits": "0 <= x <= 5"},
        {"flag": True, "limits": "1.4.2"},
    ],
)
async def test_an_outcome_that_cannot_be_worked_out_is_asked_for(measurement: dict[str, Any], measured: Record) -> None:
    with pytest.raises(BadInput, match="cannot be worked out from its limits"):
        await measured(**measurement)

    assert (await measured(**measurement, outcome="fail")).outcome == "fail"
    assert (await measured(**measurement, outcome="pass")).outcome == "pass"


@pytest.mark.parametrize(
    ("measurement", "told"),
    [
        ({"value": 5.31, "limits": "4.85 <= x <= 5.15", "outcome": "pass"}, "said to pass.*outside its limits"),
        ({"value": 5.0, "limits": "4.85 <= x <= 5.15", "outcome": "fail"}, "said to fail.*within its limits"),
        ({"value": 6.0, "limits": "x <= 5 and accepted by f", "outcome": "pass"}, "said to pass.*outside"),
    ],
)
async def test_an_outcome_against_its_limits_is_refused(
    measurement: dict[str, Any], told: str, measured: Record, sink: Sink
) -> None:
    with pytest.raises(BadInput, match=told):
        await measured(**measurement)
    assert sink.runs == []


async def test_a_value_within_its_range_may_fail_by_another_limit(measured: Record) -> None:
    m = await measured(value=3.0, limits="1 <= x <= 5 and accepted by f", outcome="fail")

    assert (m.outcome, m.lower, m.upper, m.expected) == ("fail", 1, 5, "accepted by f")


@pytest.mark.parametrize(
    ("measurement", "told"),
    [
        ({"value": 1.0, "text": "1"}, r"has several values\. Give one of text, value"),
        ({"flag": False, "data": "1"}, r"has several values\. Give one of data, flag"),
        ({"data": "1.4.2"}, r"data is not JSON\. Put plain text into text"),
        ({"data": "[1, NaN]"}, "data is not JSON"),
        ({"data": "[" * 100_000}, "data is not JSON"),
    ],
)
async def test_a_measurement_has_one_value_that_can_be_sent_on(
    measurement: dict[str, Any], told: str, measured: Record
) -> None:
    with pytest.raises(BadInput, match=told):
        await measured(**measurement)


async def test_phases_follow_one_another_from_the_runs_start(record: Record) -> None:
    phases = [{"name": "a", "outcome": "pass", "duration_s": 2}, {"name": "b", "outcome": "pass", "duration_s": 3}]
    run = await record(phases=phases, started_at="2026-11-20T08:00:00Z")
    start = datetime(2026, 11, 20, 8, tzinfo=UTC)

    assert [(p.started_at - start, p.ended_at - start) for p in run.phases] == [
        (timedelta(seconds=0), timedelta(seconds=2)),
        (timedelta(seconds=2), timedelta(seconds=5)),
    ]
    assert (run.started_at, run.ended_at) == (start, start + timedelta(seconds=5))


async def test_a_run_without_times_has_just_ended(record: Record) -> None:
    run = await record(phases=[{"name": "a", "outcome": "pass", "duration_s": 60}])

    assert run.ended_at - run.started_at == timedelta(seconds=60)
    assert abs(datetime.now(UTC) - run.ended_at) < timedelta(seconds=5)


async def test_a_run_that_ends_before_it_starts_is_refused(record: Record) -> None:
    with pytest.raises(BadInput, match="ended_at is before started_at"):
        await record(started_at="2026-11-20T08:00:00Z", ended_at="2026-11-20T07:00:00Z")


async def test_a_phases_time_that_is_none_is_named(record: Record) -> None:
    with pytest.raises(BadInput, match=r"phases\.started_at is not a time"):
        await record(phases=[{"name": "a", "outcome": "pass", "started_at": "soon"}])


async def test_every_call_has_a_ref_of_its_own(record: Record) -> None:
    assert (await record()).ref != (await record()).ref


@pytest.mark.parametrize(
    "arguments",
    [
        {"outcome": "PASS"},
        {"serial_number": ""},
        {"phases": [{"name": "", "outcome": "pass"}]},
        {"phases": [{"name": "a", "outcome": "stopped"}]},
        {"phases": [{"name": "a", "outcome": "pass", "duration_s": -1}]},
        {"phases": [{"name": "a", "outcome": "pass", "lenght_s": 1}]},
        {"phases": [{"name": "a", "outcome": "pass", "measurements": [{"name": "m", "limit": "x"}]}]},
        {"phases": [{"name": "a", "outcome": "pass", "measurements": [{"name": "m", "value": "NaN"}]}]},
        {"phases": [{"name": "a", "outcome": "pass", "measurements": [{"name": "m", "value": "inf"}]}]},
    ],
)
async def test_arguments_of_another_shape_are_refused(arguments: dict[str, Any], record: Record, sink: Sink) -> None:
    with pytest.raises(ValidationError):
        await record(**arguments)
    assert sink.runs == []
