"""A run is recorded with all that is known of it, and once, whatever becomes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.errors import AnswerLost, BadInput, Conflict, NotFound
from testlab_tools.models.requests import NewRun

if TYPE_CHECKING:
    from tests.server.tofupilot.conftest import Factory

VERSIONS = ("v1", "v2")


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_field_of_a_run_arrives(
    version: str, factory: Factory, adapter: Callable[..., Any], new_run: Callable[..., NewRun]
) -> None:
    sub_unit, part = factory.serial(), f"PN-{factory.serial()}"
    factory.record(sub_unit)
    run = new_run(
        part_number=part,
        part_name="Main board",
        revision="C",
        batch_number="LOT-7",
        procedure_version="2.1.0",
        notes="bench 4",
        sub_units=(sub_unit,),
        variables=(("oven", "B"), ("shift", "late")),
    )
    async with adapter(version) as service:
        created = await service.create_run(run)
        again = await service.find_created(run)
        assert again.run_id == created.run_id
        assert await service.find_created(new_run()) is None
    (row,) = factory.runs(run.serial_number)
    whole = factory.get(f"/v2/runs/{row['id']}")
    assert created.run_id.endswith(row["id"])
    assert (whole["outcome"], whole["started_at"]) == ("FAIL", "2026-11-20T08:00:00.123Z")
    assert whole["ended_at"] == "2026-11-20T08:00:02.123Z"
    unit = whole["unit"]
    assert (unit["part"]["number"], unit["part"]["revision"]["number"], unit["batch"]["number"]) == (part, "C", "LOT-7")
    assert whole["procedure"]["version"]["tag"] == "2.1.0"
    assert [child["serial_number"] for child in whole["sub_units"]] == [sub_unit]
    assert whole["metadata"].items() >= {"oven": "B", "shift": "late"}.items()
    assert "bench 4" in (whole["docstring"], whole["metadata"].get("notes"))
    assert [phase["retry_count"] for phase in whole["phases"]] == [0, 1]
    rail, firmware, curve = whole["phases"][1]["measurements"]
    assert (rail["measured_value"], rail["units"], rail["outcome"]) == (5.31, "V", "FAIL")
    assert {(v["operator"], v["expected_value"]) for v in rail["validators"]} == {(">=", 4.85), ("<=", 5.15)}
    assert firmware["measured_value"] == "1.4.2"
    assert (curve["measured_value"], curve["outcome"]) == ([[1.0, 2.0], [3.0, 4.0]], "UNSET")
    name = factory.get(f"/v2/parts/{part}")["name"]
    assert (name == "Main board") == (version == "v1")
    assert ("part_name was left out" in created.note) == (version == "v2")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_run_that_was_recorded_is_found_when_its_answer_is_lost(
    version: str, factory: Factory, adapter: Callable[..., Any], new_run: Callable[..., NewRun], quick_looks: None
) -> None:
    run = new_run()
    factory.fault(action="reset-after", method="POST", path_prefix=f"/api/{version}/runs", times=1)
    async with adapter(version) as service:
        created = await service.create_run(run)
    (row,) = factory.runs(run.serial_number)
    assert created.run_id.endswith(row["id"])
    assert factory.asked("POST", f"/api/{version}/runs") == 1
    assert "The answer was lost" in created.note


@pytest.mark.parametrize("status", [502, 504])
async def test_v2_sends_a_lost_run_once_more_and_it_is_there_once(
    status: int, factory: Factory, adapter: Callable[..., Any], new_run: Callable[..., NewRun]
) -> None:
    run = new_run()
    factory.fault(status=status, method="POST", path_prefix="/api/v2/runs", times=1)
    async with adapter("v2") as service:
        created = await service.create_run(run)
    assert [row["id"] for row in factory.runs(run.serial_number)] == [created.run_id.partition(":")[2]]
    assert factory.asked("POST", "/api/v2/runs") == 2


async def test_v2_finds_a_run_whose_answer_is_lost_twice(
    factory: Factory, adapter: Callable[..., Any], new_run: Callable[..., NewRun], quick_looks: None
) -> None:
    run = new_run()
    factory.fault(action="reset-after", method="POST", path_prefix="/api/v2/runs", times=2)
    factory.fault(status=500, method="GET", path_prefix="/api/v2/runs", times=1)
    async with adapter("v2") as service:
        created = await service.create_run(run)
    assert "The answer was lost" in created.note
    assert [row["id"] for row in factory.runs(run.serial_number)] == [created.run_id.partition(":")[2]]
    assert factory.asked("POST", "/api/v2/runs") == 2


async def test_v2_takes_a_conflict_about_the_ref_as_the_run_that_is_there(
    factory: Factory, adapter: Callable[..., Any], new_run: Callable[..., NewRun]
) -> None:
    run = new_run()
    factory.fault(action="reset-after", method="POST", path_prefix="/api/v2/runs", times=1)
    factory.fault(status=500, method="GET", path_prefix="/api/v2/runs", times=1)
    conflict = {"message": "client_run_ref", "code": "CONFLICT", "issues": []}
    factory.fault(status=409, body=conflict, method="POST", path_prefix="/api/v2/runs", times=1)
    async with adapter("v2") as service:
        created = await service.create_run(run)
    assert [row["id"] for row in factory.runs(run.serial_number)] == [created.run_id.partition(":")[2]]


@pytest.mark.parametrize("version", VERSIONS)
async def test_another_conflict_stays_one(
    version: str, factory: Factory, adapter: Callable[..., Any], new_run: Callable[..., NewRun]
) -> None:
    child = factory.serial()
    factory.record(child)
    factory.record(factory.serial(), sub_units=[child])
    run = new_run(sub_units=(child,))
    async with adapter(version) as service:
        with pytest.raises(Conflict):
            await service.create_run(run)
    assert factory.runs(run.serial_number) == []


async def test_the_same_ref_sent_by_two_callers_is_one_run(
    factory: Factory, adapter: Callable[..., Any], new_run: Callable[..., NewRun]
) -> None:
    run = new_run()
    async with adapter("v2") as one, adapter("v2") as other:
        assert (await one.create_run(run)).run_id == (await other.create_run(run)).run_id
    assert len(factory.runs(run.serial_number)) == 1


@pytest.mark.parametrize("fault", [{"action": "reset"}, {"status": 502}, {"status": 504}])
async def test_v1_sends_once_and_says_that_the_run_is_not_there(
    fault: dict[str, Any],
    factory: Factory,
    adapter: Callable[..., Any],
    new_run: Callable[..., NewRun],
    quick_looks: None,
) -> None:
    run = new_run()
    factory.fault(method="POST", path_prefix="/api/v1/runs", times=1, **fault)
    did = f"answered {fault['status']}" if "status" in fault else "did not answer"
    async with adapter("v1") as service:
        with pytest.raises(AnswerLost, match=rf"{did}, and the run is not there"):
            await service.create_run(run)
    assert factory.asked("POST", "/api/v1/runs") == 1
    assert factory.runs(run.serial_number) == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_is_said_when_the_run_cannot_be_looked_up_either(
    version: str, factory: Factory, adapter: Callable[..., Any], new_run: Callable[..., NewRun], quick_looks: None
) -> None:
    run = new_run(procedure_id=factory.procedure)
    factory.fault(action="reset-after", method="POST", path_prefix=f"/api/{version}/runs", times=2)
    factory.fault(status=500, method="GET", path_prefix=f"/api/{version}/runs", times=0)
    async with adapter(version) as service:
        with pytest.raises(AnswerLost, match=r"is not known: .* Do not record it again before"):
            await service.create_run(run)


async def test_v1_tells_runs_of_the_same_start_apart_by_their_procedure(
    factory: Factory, adapter: Callable[..., Any], new_run: Callable[..., NewRun]
) -> None:
    run = new_run(procedure_id="Conducted emissions")
    async with adapter("v1") as service:
        await service.create_run(run)
        assert await service.find_created(new_run(serial_number=run.serial_number)) is None
        assert await service.find_created(run) is not None


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_procedure_that_is_not_there_is_said(
    version: str, adapter: Callable[..., Any], new_run: Callable[..., NewRun]
) -> None:
    async with adapter(version) as service:
        with pytest.raises(NotFound, match="no such procedure"):
            await service.create_run(new_run(procedure_id="Main bord FCTT"))


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_new_unit_without_a_part_is_refused_with_the_fields_that_lack(
    version: str, adapter: Callable[..., Any], new_run: Callable[..., NewRun]
) -> None:
    async with adapter(version) as service:
        with pytest.raises(BadInput, match="part_number"):
            await service.create_run(new_run(part_number=""))
