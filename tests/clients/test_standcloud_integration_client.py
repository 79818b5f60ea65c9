"""The vendor's SDK standcloud-integration 0.1.0: Bearer key, /hardpy/api/v1, every record checked by its model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

import httpx2
import pytest

from testlab_tools.adapters.standcloud.adapter import Settings, StandCloud, connect
from testlab_tools.models.lab import Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail
from testlab_tools.times import seconds


@pytest.fixture(scope="module")
def part_number(ask: Callable[..., httpx2.Response]) -> str:
    """A part the lab has tested in batches."""
    runs = ask("standcloud", "/hardpy/api/v1/test_run", limit=50).raise_for_status().json()
    return next(run["part_number"] for run in runs if run["batch_number"])


@pytest.fixture(scope="module")
def answers(simlab: dict[str, Any], run_script: Callable[..., Any], part_number: str) -> dict[str, Any]:
    """What the SDK's calls returned."""
    service = simlab["services"]["standcloud"]
    arguments = (service["url"], service["token"], part_number)
    return run_script("standcloud-integration-0.1.0", "standcloud_integration_client.py", *arguments)


def test_the_test_runs_of_a_part_pass_the_sdks_model_and_are_all_there(
    answers: dict[str, Any], ask: Callable[..., httpx2.Response], part_number: str
) -> None:
    own = ask("standcloud", "/hardpy/api/v1/test_run", part_number=part_number).json()
    assert [run["test_run_id"] for run in answers["runs"]] == [run["test_run_id"] for run in own]
    assert [run["status"] for run in answers["runs"]] == [run["status"] for run in own]
    assert {run["part_number"] for run in answers["runs"]} == {part_number}
    assert {"pass", "fail"} <= {run["status"].lower() for run in answers["runs"]}


def test_filters_are_combined(answers: dict[str, Any]) -> None:
    wanted = [run["test_run_id"] for run in answers["runs"] if run["batch_number"] == answers["batch"]]
    assert [run["test_run_id"] for run in answers["of_batch"]] == wanted
    assert len(wanted) < len(answers["runs"])


def test_an_unknown_part_has_no_runs(answers: dict[str, Any]) -> None:
    assert answers["nothing"] == []


def test_a_wrong_key_is_unauthorized(answers: dict[str, Any]) -> None:
    assert answers["refused"].startswith("Unauthorized (401)")


OUTCOMES = {"pass": "pass", "fail": "fail", "skip": "skip", "stop": "stopped"}


def told(run: Run) -> dict[str, Any]:
    """What a row of our lists says, in the words of the SDK's model."""
    return {
        "test_run_id": run.run_id.removeprefix("cloud:"),
        "test_plan_name": run.test,
        "number_of_attempt": run.attempt,
        "status": run.outcome,
        "start_time": run.started_at,
        "duration": run.duration_s,
        "serial_number": run.unit,
        "part_number": run.part,
        "test_stand_name": run.station,
    }


def as_told(run: dict[str, Any]) -> dict[str, Any]:
    """The same of a run as the SDK read it."""
    return {
        **{key: run[key] for key in ("test_run_id", "test_plan_name", "number_of_attempt", "part_number")},
        "status": OUTCOMES[run["status"]],
        "start_time": datetime.fromisoformat(run["start_time"]),
        "duration": seconds(run["duration"]),
        "serial_number": run["serial_number"] or "",
        "test_stand_name": run["test_stand_name"],
    }


def ends_alike(run: Run, theirs: dict[str, Any]) -> bool:
    """Ours has a start and a duration; the service rounds each of start, end and duration to a second by itself."""
    ended = run.started_at + timedelta(seconds=run.duration_s)
    return abs(datetime.fromisoformat(theirs["finish_time"]) - ended) <= timedelta(seconds=1)


def tags(run: dict[str, Any]) -> dict[str, str]:
    """What is left of a run as the SDK read it, as tags."""
    names = ("status_icon", "test_stand_hw_id", "test_stand_number", "test_stand_location")
    within = ("dut_info", "test_stand_info", "test_run_artifact")
    left = {key: run[key] for key in names} | {k: v for name in within for k, v in (run[name] or {}).items()}
    assert set(run) == {*as_told(run), "finish_time", "batch_number", *names, *within}, (
        "a field of the SDK's model is not compared"
    )
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in left.items() if v is not None}


@pytest.fixture(scope="module", params=["integration", "hardpy"])
def read(
    request: pytest.FixtureRequest, simlab: dict[str, Any], part_number: str, answers: dict[str, Any]
) -> tuple[list[Run], list[RunDetail]]:
    """What our adapter reads under each prefix: all runs of the part by pages, and each of the batch by itself."""
    service = simlab["services"]["standcloud"]
    auth: Literal["x-api-key", "bearer"] = "x-api-key" if request.param == "integration" else "bearer"
    table = {"kind": "standcloud", "url": service["url"], "token": service["token"], "api": request.param, "auth": auth}

    async def runs_of(cloud: StandCloud) -> list[Run]:
        runs, after, more = list[Run](), "", True
        while more:
            page = await cloud.list_runs(RunQuery(part=part_number), 700, after)
            runs += page.runs
            after, more = page.runs[-1].position, page.more
        return runs

    async def everything() -> tuple[list[Run], list[RunDetail]]:
        cloud = connect("cloud", Settings.model_validate(table))
        try:
            ids = [run["test_run_id"] for run in answers["of_batch"]]
            return await runs_of(cloud), await asyncio.gather(*(cloud.get_run(run_id) for run_id in ids))
        finally:
            await cloud.aclose()

    return asyncio.run(everything())


def test_our_adapter_lists_the_runs_that_the_sdk_does_field_by_field(
    answers: dict[str, Any], read: tuple[list[Run], list[RunDetail]]
) -> None:
    ours = {run.run_id: told(run) for run in read[0]}
    theirs = {f"cloud:{run['test_run_id']}": as_told(run) for run in answers["runs"]}
    assert len(read[0]) == len(ours) == len(theirs) > 700
    assert ours == theirs
    ended = {f"cloud:{run['test_run_id']}": run for run in answers["runs"]}
    assert all(ends_alike(run, ended[run.run_id]) for run in read[0])


def test_our_adapter_tells_every_field_of_a_run_that_the_sdk_does(
    answers: dict[str, Any], read: tuple[list[Run], list[RunDetail]]
) -> None:
    assert len(answers["of_batch"]) > 50
    for theirs, ours in zip(answers["of_batch"], read[1], strict=True):
        assert told(ours.run) == as_told(theirs)
        assert ends_alike(ours.run, theirs)
        assert ours.run.batch == theirs["batch_number"]
        assert ours.tags == tags(theirs)


def test_our_adapter_tells_the_failed_cases_as_the_service_does(
    answers: dict[str, Any], read: tuple[list[Run], list[RunDetail]], ask: Callable[..., httpx2.Response]
) -> None:
    failed = [detail for detail in read[1] if detail.run.outcome == "fail"]
    assert len(failed) == sum(run["status"] == "fail" for run in answers["of_batch"]) > 3
    for detail in failed:
        path = f"/hardpy/api/v1/test_run/{detail.run.run_id.removeprefix('cloud:')}/failed_case"
        cases = ask("standcloud", path).raise_for_status().json()
        assert [(case.case, case.outcome, case.attempts) for case in detail.cases] == [
            (case["name"], case["status"].lower(), case["attempt"]) for case in cases
        ]
        for ours, theirs in zip(detail.cases, cases, strict=True):
            said = theirs["assertion_msg"]
            assert ours.reason == "; ".join([said, *(other for other in theirs["msg"].values() if other not in said)])
            assert [(m.name, m.outcome, m.value, m.units, m.lower, m.upper) for m in ours.measurements] == [
                (m["name"], "fail", m["value"], m["unit"], m["lower_limit"], m["upper_limit"])
                for m in theirs["measurements"]
            ]
    assert all(detail.cases == [] for detail in read[1] if detail.run.outcome != "fail")
