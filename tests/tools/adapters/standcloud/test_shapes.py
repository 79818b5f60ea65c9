"""What the sources disagree on is read either way, and what none of them names is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from testlab_tools.adapters.standcloud.adapter import StandCloud
from testlab_tools.errors import BadReply
from testlab_tools.http import ServiceClient
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

Made = Callable[..., StandCloud]
RUN = str(UUID(int=7))


async def detail(origin: Origin, cloud: StandCloud, body: Any) -> Any:
    origin.answers(origin.reply(200, body), origin.reply(200, []))
    return await cloud.get_run(RUN)


@pytest.mark.parametrize("duration", ["00:12:34", "PT754S", "PT12M34S", 754, 754.0, None])
@pytest.mark.parametrize("end", ["stop_time", "finish_time"])
@pytest.mark.parametrize("as_list", [False, True])
async def test_durations_ends_and_lists_are_read_in_every_form(
    duration: Any, end: str, as_list: bool, origin: Origin, stand_cloud: Made, row_of: Callable[..., dict[str, Any]]
) -> None:
    body = row_of(7, start_time="2024-02-20T14:23:45Z", duration=duration)
    del body["finish_time"]
    body[end] = "2024-02-20T14:36:19Z"
    told = await detail(origin, stand_cloud(), [body] if as_list else body)

    assert told.run.duration_s == 754
    assert told.run.started_at.isoformat() == "2024-02-20T14:23:45+00:00"
    assert {"stop_time", "finish_time"}.isdisjoint(told.tags)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("FAIL", "fail"),
        ("Pass", "pass"),
        ("passed", "pass"),
        ("STOP", "stopped"),
        ("skipped", "skip"),
        ("odd", "error"),
    ],
)
async def test_a_status_is_read_in_any_case(
    status: str, outcome: str, origin: Origin, stand_cloud: Made, row_of: Callable[..., dict[str, Any]]
) -> None:
    assert (await detail(origin, stand_cloud(), row_of(7, status=status))).run.outcome == outcome


async def test_fields_that_nobody_documents_are_kept_as_tags(
    origin: Origin, stand_cloud: Made, row_of: Callable[..., dict[str, Any]]
) -> None:
    body = row_of(
        7,
        operator="\x1b[31mmia\x1b[0m",
        humidity={"percent": 41},
        dut_info={"serial_number": "SN-00007", "info": {"revision": "B", "stage": "FCT"}},
        test_stand_info={"revision": "3", "calibration_date": "2026-01-15"},
        test_run_artifact={"photo": "a.png"},
        stage=2,
        empty=None,
    )
    told = await detail(origin, stand_cloud(), body)

    assert told.tags == {
        "serial_number": "SN-00007",
        "revision": "B",
        "stage": "FCT",
        "test_stand_info.revision": "3",
        "calibration_date": "2026-01-15",
        "photo": "a.png",
        "operator": "mia",
        "humidity": '{"percent": 41}',
        "test_run.stage": "2",
        "test_stand_hw_id": "TS-1",
    }


async def test_an_end_that_the_duration_does_not_lead_to_is_told(
    origin: Origin, stand_cloud: Made, row_of: Callable[..., dict[str, Any]]
) -> None:
    told = await detail(origin, stand_cloud(), row_of(7, duration="PT10S"))
    assert (told.run.duration_s, told.tags["finish_time"]) == (10, "2026-11-20T00:07:50Z")


async def test_nulls_where_a_name_is_meant_are_no_names(
    origin: Origin, stand_cloud: Made, row_of: Callable[..., dict[str, Any]]
) -> None:
    nothing = dict.fromkeys(
        ("serial_number", "part_number", "batch_number", "test_stand_name", "number_of_attempt", "start_time"), None
    )
    told = await detail(origin, stand_cloud(), row_of(7, **nothing))
    assert (told.run.unit, told.run.part, told.run.batch, told.run.station) == ("", "", "", "TS-1")


@pytest.mark.parametrize("others", [[], [8]])
async def test_another_run_than_the_one_asked_for_tells_nothing_of_it(
    others: list[int], origin: Origin, stand_cloud: Made, row_of: Callable[..., dict[str, Any]]
) -> None:
    origin.answers(origin.reply(200, [row_of(number) for number in others]))
    with pytest.raises(BadReply, match="did not send it"):
        await stand_cloud().get_run(RUN)


@pytest.mark.parametrize("body", [[{"status": "pass"}], [3], {"detail": "x"}, [{"test_run_id": 4}]])
async def test_rows_that_are_none_are_an_error(body: Any, origin: Origin, stand_cloud: Made) -> None:
    origin.answers(origin.reply(200, body))
    with pytest.raises(BadReply):
        await stand_cloud().list_runs(RunQuery(), 20)


@pytest.mark.parametrize("prefix", ["integration", "hardpy"])
async def test_both_prefixes_are_served(
    prefix: str, origin: Origin, client_of: Callable[..., ServiceClient], row_of: Callable[..., dict[str, Any]]
) -> None:
    origin.answers(origin.reply(200, []))
    cloud = StandCloud("portal", client_of(origin.url), prefix)
    await cloud.list_runs(RunQuery(), 5)

    assert {asked.target.partition("?")[0] for asked in origin.asked} == {
        f"/{prefix}/api/v1/test_run",
    }
