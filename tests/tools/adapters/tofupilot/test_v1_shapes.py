"""v1 lists a unit's runs in three shapes, its document's, client 1.12.1's, and the bare list 2.26.1 takes as well; and
tells a new run in two."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.tofupilot.adapter import TofuPilotV1
from testlab_tools.errors import BadReply, Unsupported
from testlab_tools.http import ServiceClient
from testlab_tools.models.requests import NewRun

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

DOCUMENTED = {
    "duration": "PT12S",
    "createdAt": "2024-09-05T15:58:30.891Z",
    "startedAt": "2024-09-05T08:38:17.115Z",
    "createdBy": {"email": "user@acmecorp.com"},
    "status": {"name": "Fail", "category": "Failed"},
    "phases": [
        {
            "name": "current",
            "startedAt": "2024-09-05T08:38:18Z",
            "duration": "PT11S",
            "outcome": "ERROR",
            "measurements": [
                {"name": "i", "measured_value": 5, "outcome": "PASS", "units": "A", "lowerLimit": 1, "upperLimit": 10}
            ],
        }
    ],
}
TYPED = {
    "id": "005f1ec0-b179-11ef-9a12-f7e5c5919019",
    "started_at": "2024-09-05T08:38:17.115Z",
    "ended_at": "2024-09-05T08:38:29.115Z",
    "duration": "PT12S",
    "outcome": "TIMEOUT",
    "procedure": {"id": "p1", "identifier": "FVT1", "name": "Main board FCT"},
    "unit": {
        "id": "u1",
        "serial_number": "PCBA01-0001",
        "batch": {"id": "b1", "number": "LOT-1"},
        "revision": {"id": "r1", "identifier": "A", "component": {"id": "c1", "part_number": "PCB01", "name": "PCB"}},
    },
    "phases": [],
}


@pytest.mark.parametrize("body", [{"message": "m", "data": [DOCUMENTED]}, {"result": [TYPED]}, [TYPED]])
async def test_a_run_is_read_from_each(body: Any, origin: Origin, client_of: Callable[..., ServiceClient]) -> None:
    origin.answers(*[origin.reply(200, body)] * 4)
    service = TofuPilotV1("old", client_of(origin.url))
    typed = "data" not in body
    unit = await service.get_unit("PCBA01-0001")
    assert (unit.part, unit.revision, unit.batch) == (("PCB01", "A", "LOT-1") if typed else ("", "", ""))
    key = TYPED["id"] if typed else START
    detail = await service.get_run(f"PCBA01-0001/{key}")
    assert (detail.run.outcome, detail.run.duration_s) == ("error", 12)
    assert detail.run.test == ("Main board FCT" if typed else "")
    assert await service.list_unit_runs("PCBA01-0001") == ([detail.run.run_id.partition(":")[2]], True)
    contents = await service.get_run_contents(f"PCBA01-0001/{key}") if typed else None
    assert contents is None or (contents.phases, contents.measurements, contents.attachments) == (0, 0, None)


@pytest.mark.parametrize("body", [{"message": "m"}, {"data": {}}, "text", [{"id": "x"}]])
async def test_another_shape_is_a_bad_reply(body: Any, origin: Origin, client_of: Callable[..., ServiceClient]) -> None:
    origin.answers(origin.reply(200, body))
    with pytest.raises(BadReply):
        await TofuPilotV1("old", client_of(origin.url)).list_unit_runs("X")


RUN = NewRun(
    procedure_id="FVT1",
    serial_number="PCBA01-0001",
    outcome="pass",
    started_at=datetime(2024, 9, 5, 10, 38, 17, 115400, tzinfo=timezone(timedelta(hours=2))),
    ended_at=datetime(2024, 9, 5, 10, 38, 29, tzinfo=timezone(timedelta(hours=2))),
    ref="r1",
)
START = "2024-09-05T08:38:17.115000+00:00"
SAID = "Run created successfully: https://tofupilot.app/yourcompany/runs/"


DATA = {"message": "m", "data": [DOCUMENTED | {"status": {"name": "Pass"}, "phases": []}]}


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"id": "005f1ec0", "message": f"{SAID}another"}, "@005f1ec0"),
        ({"message": f"{SAID}005f1ec0-b179-11ef-9a12-f7e5c5919019"}, "@005f1ec0-b179-11ef-9a12-f7e5c5919019"),
        ({"message": "Run created successfully."}, ""),
        ({"message": f"{SAID}../../x y"}, ""),
    ],
)
async def test_a_run_that_was_recorded_is_called_by_its_start_and_the_id_or_the_address_that_the_server_tells(
    body: Any, key: str, origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(origin.reply(200, body), origin.reply(200, DATA))
    service = TofuPilotV1("old", client_of(origin.url))
    created = await service.create_run(RUN)
    assert re.fullmatch(rf"old:PCBA01-0001/{re.escape(START)}~[0-9a-f]{{8}}{key}", created.run_id)
    assert [asked.method for asked in origin.asked] == ["POST", "GET"]
    detail = await service.get_run(created.run_id.removeprefix("old:"))
    assert detail.run.run_id == created.run_id


@pytest.mark.parametrize("told", [{}, {"message": None}, {"status": "ok"}, [], "done"])
async def test_a_success_that_is_no_reply_of_the_service_is_looked_up(
    told: Any, origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(origin.reply(200, told), origin.reply(200, DATA))
    created = await TofuPilotV1("old", client_of(origin.url)).create_run(RUN)
    assert created.run_id.startswith(f"old:PCBA01-0001/{START}~")
    assert "The answer was lost" in created.note
    assert [asked.method for asked in origin.asked] == ["POST", "GET"]


async def test_no_file_is_sent_for_a_run_whose_id_is_not_told(
    origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    with pytest.raises(Unsupported, match="without which no file can be kept"):
        await TofuPilotV1("old", client_of(origin.url)).attach("X/2024-09-05T08:38:17+00:00", "a.txt", b"a")
    assert origin.asked == []


@pytest.mark.parametrize(
    ("body", "ids"),
    [({"id": "5f"}, ["SN-1/5f"]), ({"message": f"{SAID}5f"}, ["SN-1/5f"]), ({"message": "Run created."}, [])],
)
async def test_a_report_that_was_read_is_told_by_the_id_or_the_address(
    body: Any, ids: list[str], origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    upload = origin.reply(200, {"id": "u1", "uploadUrl": f"{origin.url}/store"})
    origin.answers(upload, origin.reply(200, {}), origin.reply(200, body))
    service = TofuPilotV1("old", client_of(origin.url))
    assert await service.import_file("report.json", b"{}", "OPENHTF", "SN-1") == ids
