"""The vendor's SDK standcloud-integration 0.1.0: Bearer key, /hardpy/api/v1, every record checked by its model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest


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
