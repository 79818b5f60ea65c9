"""The keys of a filter that nothing matched are held against runs, whatever the server makes of such a filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.standcloud.adapter import StandCloud
from testlab_tools.errors import BadReply
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.tools.adapters.standcloud.conftest import Server

Made = Callable[..., StandCloud]


@pytest.mark.parametrize("filters", [True, False], ids=["heeds filters", "ignores them"])
async def test_keys_of_no_run_are_told_whether_or_not_the_server_heeds_them(
    filters: bool, stand_cloud: Made, server_of: Callable[..., Server]
) -> None:
    page = await stand_cloud(server_of(30, filters=filters)).list_runs(RunQuery(text="colour=red&status=fail"), 20)
    assert (page.runs, page.total, page.at_least) == ([], 0, False)
    assert page.keys is not None
    assert (page.keys.read, page.keys.lacking) == (30, ["colour"])
    assert {"manufacturer", "status", "test_plan_name"} <= set(page.keys.carried)


@pytest.mark.parametrize("text", ["batch_number=LOT-1", "attempt_count=3"])
async def test_a_field_that_is_null_in_every_run_is_carried_by_none(
    text: str, stand_cloud: Made, server_of: Callable[..., Server]
) -> None:
    page = await stand_cloud(server_of(30)).list_runs(RunQuery(text=text), 20)
    assert page.keys is not None
    assert page.keys.lacking == [text.partition("=")[0]]


async def test_keys_within_the_dut_as_hardpy_shows_it_are_carried(
    stand_cloud: Made, server_of: Callable[..., Server], row_of: Callable[..., dict[str, Any]]
) -> None:
    rows = [row_of(3, dut_info={"serial_number": "SN-00003", "info": {"stage": "FCT"}})]
    cloud = stand_cloud(server_of(rows, filters=False))
    assert (await cloud.list_runs(RunQuery(text="stage=ICT"), 20)).keys is None
    page = await cloud.list_runs(RunQuery(text="level=1"), 20)
    assert page.keys is not None
    assert "stage" in page.keys.carried
    assert "info" not in page.keys.carried


async def test_a_service_without_runs_has_no_keys_to_tell(stand_cloud: Made, server_of: Callable[..., Server]) -> None:
    page = await stand_cloud(server_of(0)).list_runs(RunQuery(text="colour=red"), 20)
    assert (page.total, page.keys) == (0, None)


async def test_a_filter_that_matches_costs_no_further_request(
    stand_cloud: Made, server_of: Callable[..., Server]
) -> None:
    server = server_of(30)
    page = await stand_cloud(server).list_runs(RunQuery(text="manufacturer=ABC"), 20)
    assert page.runs
    assert all("manufacturer" in asked for asked in server.asked)


@pytest.mark.parametrize("asked", [{"unit": "SN-00003"}, {"part": "P-1"}, {"station": "S-1"}])
async def test_runs_that_leave_out_what_was_asked_by_are_not_no_runs(
    asked: dict[str, Any], stand_cloud: Made, server_of: Callable[..., Server], row_of: Callable[..., dict[str, Any]]
) -> None:
    left_out = ("serial_number", "part_number", "test_stand_name")
    rows = [{key: value for key, value in row_of(n).items() if key not in left_out} for n in range(3)]
    cloud = stand_cloud(server_of(rows, filters=False))
    with pytest.raises(BadReply, match="sent 3 runs or devices and none has its"):
        await cloud.list_runs(RunQuery(**asked), 20)
