"""get_run: all that a service tells of a run, and no more of it than is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.run_files.conftest import Portal


async def test_a_result_is_told_with_all_that_the_portal_knows(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller
) -> None:
    row = portal.failed()
    told = portal.get(f"results{row['result_id']}").json()
    every = ["cases", "measurements", "tags", "artifacts"]
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "get_run", run_id=f"portal:{row['result_id']}", include=every)
    run = answer["run"]
    assert (run["outcome"], run["test"], run["reason"]) == (told["result"], told["test_case"], told["failure_reason"])
    assert (run["user"], run["category"], run["revision"]) == (
        told["username"],
        told["job_category"],
        told["test_pack_sha"],
    )
    assert run["branch"] == told["test_pack_branch"].removeprefix("refs/heads/")
    assert (run["job_uid"], run["triage_url"]) == (f"portal:{told['job_uid']}", told["triage_url"])
    assert answer["cases"] == [
        {"case": run["test"], "outcome": "fail", "reason": run["reason"], "traceback": told["traceback"]}
    ]
    assert answer["tags"] == told["tags"]
    assert {file["name"]: file["size"] for file in answer["artifacts"]} == {
        name: entry["size"] for name, entry in told["artifacts"].items()
    }
    assert {"reason", "user", "tags", "traceback"} <= set(answer["untrusted"])


@pytest.mark.parametrize("service", ["portal", "factory", "cloud"])
async def test_a_run_is_told_briefly_unless_more_is_asked_for(
    service: str, lab: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(lab.config_toml()) as client:
        (listed,) = (await ask(client, "list_runs", service=service, outcome="fail", limit=1))["runs"]
        brief = await ask(client, "get_run", run_id=listed["run_id"])
        cases = await ask(client, "get_run", run_id=listed["run_id"], include=["cases"])
        whole = await ask(client, "get_run", run_id=listed["run_id"], include=["measurements"])
    assert brief["run"].get("revision", "").startswith(listed.pop("revision", ""))
    assert {key: brief["run"][key] for key in listed} == listed
    assert not {"cases", "tags", "artifacts"} & set(brief)
    assert [case["case"] for case in cases["cases"]] == [case["case"] for case in whole["cases"]]
    assert not any("measurements" in case for case in cases["cases"])
    assert any("measurements" in case for case in whole["cases"]) is (service != "portal")


@pytest.mark.parametrize("version", ["v2", "v1"])
async def test_a_production_run_is_told_with_its_passing_phases_too(
    version: str, lab: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    config = lab.config_toml()
    async with connect(config) as client:
        (listed,) = (await ask(client, "list_runs", service="factory", outcome="fail", limit=1))["runs"]
        failed = (await ask(client, "get_failed_cases", run_id=listed["run_id"]))["runs"][0]
    config = config.replace('kind = "tofupilot"', f'kind = "tofupilot"\napi_version = "{version}"')
    async with connect(config) as client:
        runs = (await ask(client, "list_runs", service="factory", unit=listed["unit"]))["runs"]
        (same,) = (run for run in runs if run["started_at"] == listed["started_at"])
        answer = await ask(client, "get_run", run_id=same["run_id"], include=["measurements", "tags", "artifacts"])
    assert answer["run"]["cases_run"] == len(answer["cases"]) == failed["cases_run"]
    assert {case["case"] for case in answer["cases"] if case["outcome"] == "fail"} == {
        case["case"] for case in failed["cases"]
    }
    assert {case["outcome"] for case in answer["cases"]} >= {"pass", "fail"}
    if version == "v2":
        assert answer["run"]["revision"]
        assert answer["run"]["batch"]
        assert answer["tags"]["unit_revision"]
        assert {file["name"] for file in answer.get("artifacts", [])} == set(failed.get("artifacts", []))
