"""A filter is sent as the vendor documents it, and holds whether or not the server heeds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.standcloud.adapter import StandCloud
from testlab_tools.errors import BadInput, BadReply
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.tools.adapters.standcloud.conftest import Server

Made = Callable[..., StandCloud]
ROWS: list[dict[str, Any]] = [
    {"serial_number": "A", "status": "FAIL", "number_of_attempt": 2},
    {"serial_number": "b", "status": "Passed", "part_number": "TV"},
    {"serial_number": "C", "status": "stop", "batch_number": "LOT-1"},
    {"serial_number": "D", "status": "Skip", "test_plan_name": "Burn-in", "duration": "00:12:34"},
    {"serial_number": "E", "status": "fail", "test_stand_name": "Stand 2", "dut_info": {"firmware": "1.4.2"}},
    {"serial_number": "F", "status": "error", "dut_info": {"serial_number": "F", "info": {"firmware": "1.5"}}},
]


@pytest.mark.parametrize(
    ("query", "found", "sent"),
    [
        (RunQuery(outcome="fail"), "AE", {"status": "fail"}),
        (RunQuery(outcome="pass"), "b", {"status": "pass"}),
        (RunQuery(outcome="stopped"), "C", {"status": "stop"}),
        (RunQuery(outcome="skip"), "D", {"status": "skip"}),
        (RunQuery(outcome="error"), "F", {}),
        (RunQuery(unit="B"), "b", {"serial_number": "B"}),
        (RunQuery(part="TV"), "b", {"part_number": "TV"}),
        (RunQuery(test="Burn-in"), "D", {"test_plan_name": "Burn-in"}),
        (RunQuery(station="Stand 2"), "E", {"test_stand_name": "Stand 2"}),
        (RunQuery(text="batch_number=LOT-1"), "C", {"batch_number": "LOT-1"}),
        (RunQuery(text="number_of_attempt=2"), "A", {"number_of_attempt": "2"}),
        (RunQuery(text="duration=PT754S"), "D", {"duration": "PT754S"}),
        (RunQuery(text="start_time=2026-11-20T01:02:00+01:00"), "C", None),
        (RunQuery(text="start_time=2026-11-20T00:01:00Z"), "b", None),
        (RunQuery(text="firmware=1.4.2"), "E", {"firmware": "1.4.2"}),
        (RunQuery(text="firmware=1.5"), "F", {"firmware": "1.5"}),
        (RunQuery(text="status=FAIL & firmware=1.4.2"), "E", {"status": "FAIL", "firmware": "1.4.2"}),
        (RunQuery(text="no_such_key=1"), "", {"no_such_key": "1"}),
    ],
)
async def test_a_server_that_ignores_filters_gives_no_wrong_runs(
    query: RunQuery,
    found: str,
    sent: dict[str, str] | None,
    stand_cloud: Made,
    server_of: Callable[..., Server],
    row_of: Callable[..., dict[str, Any]],
) -> None:
    server = server_of([row_of(n, **fields) for n, fields in enumerate(ROWS)], filters=False)
    page = await stand_cloud(server).list_runs(query, 20)

    assert sorted(run.unit for run in page.runs) == sorted(found)
    assert page.total == len(found)
    asked = {key: value for key, value in server.asked[0].items() if key not in ("limit", "offset")}
    assert sent is None or asked == sent


async def test_a_filter_that_cannot_be_checked_is_said_and_not_believed(
    stand_cloud: Made, server_of: Callable[..., Server], row_of: Callable[..., dict[str, Any]]
) -> None:
    cloud = stand_cloud(server_of([row_of(1, dut_info=None)], filters=False))

    with pytest.raises(BadReply, match=r"without their dut_info\. Whether they match .* cannot be checked"):
        await cloud.list_runs(RunQuery(text="manufacturer=ABC"), 20)
    assert (await cloud.list_runs(RunQuery(text="manufacturer=ABC&status=fail"), 20)).runs == []


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (RunQuery(text="firmware"), "not key=value"),
        (RunQuery(text="=1"), "not key=value"),
        (RunQuery(text="limit=5"), "cannot set limit or offset"),
        (RunQuery(text="offset=5"), "cannot set limit or offset"),
        (RunQuery(text="a=1&a=2"), "given already"),
        (RunQuery(unit="A", text="serial_number=B"), "given already"),
    ],
)
async def test_a_filter_that_cannot_be_right_is_refused_unsent(
    query: RunQuery, told: str, stand_cloud: Made, server_of: Callable[..., Server]
) -> None:
    server = server_of(3)
    with pytest.raises(BadInput, match=told):
        await stand_cloud(server).list_runs(query, 20)
    assert server.asked == []
