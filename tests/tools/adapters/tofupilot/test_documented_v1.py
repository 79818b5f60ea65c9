"""Bodies as the v1 document's examples have them ("REST API"), and what it does not promise left out or null."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.tofupilot.adapter import TofuPilotV1
from testlab_tools.errors import BadReply, NotFound
from testlab_tools.http import ServiceClient
from testlab_tools.models.requests import NewPhase, NewRun, RunQuery, UnitChange

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

RUN = {
    "duration": "PT12S",
    "createdAt": "2024-09-05T15:58:30.891Z",
    "startedAt": "2024-09-05T08:38:17.115Z",
    "createdBy": {"email": "user@acmecorp.com"},
    "status": {"name": "Pass", "category": "Successful"},
    "phases": [
        {
            "name": "measure_duration",
            "startedAt": "2024-12-20T15:12:26.397Z",
            "duration": "PT11S",
            "outcome": "PASS",
            "measurements": [
                {
                    "name": "current_duration",
                    "measured_value": 5,
                    "outcome": "PASS",
                    "units": "second",
                    "lowerLimit": 1,
                    "upperLimit": 10,
                }
            ],
        }
    ],
}
CREATED = {"message": "Run created successfully: https://tofupilot.app/yourcompany/runs/your-new-run"}
START = datetime(2024, 9, 5, 8, 38, 17, 115000, tzinfo=UTC)
NEW = NewRun(
    "FVT1", "PCBA01-0001", "pass", START, START + timedelta(seconds=12), "ref",
    phases=(NewPhase("measure_duration", "pass", START, START),),
)  # fmt: skip


@pytest.fixture
def service(origin: Origin, client_of: Callable[..., ServiceClient]) -> TofuPilotV1:
    return TofuPilotV1("old", client_of(origin.url))


def listed(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"message": "Runs fetched successfuly.", "data": list(rows)}


async def test_the_documents_run_is_recorded_and_read_back(service: TofuPilotV1, origin: Origin) -> None:
    origin.answers(origin.reply(200, CREATED), origin.reply(200, listed(RUN)))
    created = await service.create_run(NEW)
    assert created.run_id.endswith("@your-new-run")
    detail = await service.get_run(created.run_id.removeprefix("old:"))
    assert (detail.run.outcome, detail.run.duration_s, detail.run.user) == ("pass", 12, "user@acmecorp.com")
    (case,) = detail.cases
    (measurement,) = case.measurements
    assert (measurement.lower, measurement.upper, measurement.units) == (1, 10, "second")


@pytest.mark.parametrize("null", [True, False], ids=["null", "missing"])
@pytest.mark.parametrize("name", ["duration", "createdAt", "createdBy", "phases"])
async def test_a_run_is_read_without_what_is_not_needed(
    name: str, null: bool, service: TofuPilotV1, origin: Origin
) -> None:
    row = RUN | {name: None} if null else {key: value for key, value in RUN.items() if key != name}
    origin.answers(origin.reply(200, listed(row)))
    (run,) = (await service.list_runs(RunQuery(unit="PCBA01-0001"), 5)).runs
    assert run.outcome == "pass"
    assert (await service.get_run(run.run_id.removeprefix("old:"))).run.run_id == run.run_id


@pytest.mark.parametrize("null", [True, False], ids=["null", "missing"])
@pytest.mark.parametrize("name", ["startedAt", "measurements", "units", "lowerLimit", "upperLimit", "measured_value"])
async def test_a_phase_is_read_without_what_is_not_needed(
    name: str, null: bool, service: TofuPilotV1, origin: Origin
) -> None:
    def without(row: dict[str, Any]) -> dict[str, Any]:
        return row | {name: None} if null else {key: value for key, value in row.items() if key != name}

    phase = without(RUN["phases"][0])
    if phase.get("measurements"):
        phase["measurements"] = [without(phase["measurements"][0])]
    origin.answers(origin.reply(200, listed(RUN | {"phases": [phase]})))
    (run,) = (await service.list_runs(RunQuery(unit="PCBA01-0001"), 5)).runs
    assert run.outcome == "pass"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({"name": "Pass"}, "pass"),
        ({"name": "Fail", "category": None}, "fail"),
        ({"name": None, "category": "Successful"}, "pass"),
        ({"name": "Rejected", "category": "Failed"}, "fail"),
        ({"name": "Aborted", "category": "Failed"}, "stopped"),
        ({"name": "Timeout"}, "error"),
    ],
)
async def test_how_a_run_ended_is_told_by_its_status(
    status: dict[str, Any], outcome: str, service: TofuPilotV1, origin: Origin
) -> None:
    origin.answers(origin.reply(200, listed(RUN | {"status": status, "phases": []})))
    (run,) = (await service.list_runs(RunQuery(unit="X"), 5)).runs
    assert run.outcome == outcome


@pytest.mark.parametrize("status", [None, {}, {"name": "Whatever"}, {"name": None, "category": None}])
async def test_a_run_that_does_not_say_how_it_ended_has_not_passed(
    status: Any, service: TofuPilotV1, origin: Origin
) -> None:
    origin.answers(origin.reply(200, listed(RUN | {"status": status})))
    with pytest.raises(BadReply, match="does not tell how a run of the unit ended"):
        await service.list_runs(RunQuery(unit="X"), 5)


@pytest.mark.parametrize("body", [{}, {"data": None}, {"message": "m"}, {"data": {}}, {"runs": []}, "none", None, 0])
async def test_a_success_of_another_shape_is_no_empty_list(body: Any, service: TofuPilotV1, origin: Origin) -> None:
    origin.answers(origin.reply(200, body))
    for asked in (service.list_runs(RunQuery(unit="X"), 5), service.get_unit("X"), service.probe()):
        with pytest.raises(BadReply):
            await asked


async def test_a_unit_of_which_nothing_is_listed_is_not_made_up(service: TofuPilotV1, origin: Origin) -> None:
    origin.answers(origin.reply(200, listed()))
    with pytest.raises(NotFound):
        await service.get_unit("X")
    assert (await service.list_runs(RunQuery(unit="X"), 5)).runs == []


async def test_the_documents_answers_to_changes_are_taken(service: TofuPilotV1, origin: Origin) -> None:
    told = "Run 005f1ec0-b179-11ef-9a12-f7e5c5919019 deleted successfully."
    origin.answers(origin.reply(200, {"message": told}))
    await service.delete_run("PCBA01-0001/005f1ec0-b179-11ef-9a12-f7e5c5919019")
    await service.delete_unit("PCBA01-0001")
    unit = await service.update_unit("PCBA01-0001", UnitChange(add=("CELL01-0001", "CELL01-0002")))
    assert unit.sub_units == ["CELL01-0001", "CELL01-0002"]
    assert [asked.method for asked in origin.asked] == ["DELETE", "DELETE", "PATCH"]
