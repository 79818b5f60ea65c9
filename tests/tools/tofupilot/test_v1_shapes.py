"""v1 lists a unit's runs in three shapes: its document's, client 1.12.1's, and the bare list 2.26.1 takes as well."""

from __future__ import annotations

from typing import Any

import pytest

from testlab_tools.errors import BadReply
from testlab_tools.tofupilot.adapter import TofuPilotV1

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
async def test_a_run_is_read_from_each(body: Any, origin: Any, client_of: Any) -> None:
    origin.answers(*[origin.reply(200, body)] * 4)
    service = TofuPilotV1("old", client_of(origin.url))
    typed = "data" not in body
    unit = await service.get_unit("PCBA01-0001")
    assert (unit.part, unit.revision, unit.batch) == (("PCB01", "A", "LOT-1") if typed else ("", "", ""))
    key = TYPED["id"] if typed else "2024-09-05T08:38:17.115000+00:00"
    detail = await service.get_run(f"PCBA01-0001/{key}")
    assert (detail.run.outcome, detail.run.duration_s) == ("error", 12)
    assert detail.run.test == ("Main board FCT" if typed else "")
    assert await service.count_runs("PCBA01-0001") == (1, True)
    contents = await service.run_contents(f"PCBA01-0001/{key}") if typed else None
    assert contents is None or (contents.phases, contents.measurements, contents.attachments) == (0, 0, None)


@pytest.mark.parametrize("body", [{"message": "m"}, {"data": {}}, "text", [{"id": "x"}]])
async def test_another_shape_is_a_bad_reply(body: Any, origin: Any, client_of: Any) -> None:
    origin.answers(origin.reply(200, body))
    with pytest.raises(BadReply):
        await TofuPilotV1("old", client_of(origin.url)).count_runs("X")
