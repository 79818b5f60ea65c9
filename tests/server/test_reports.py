"""Reports that real OpenHTF wrote go in through `create_run` and come back the same."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from testlab_tools.reports.arguments import build_create_run_arguments
from testlab_tools.reports.openhtf import read_openhtf_run
from tests.fixture_types import Connect, ToolCaller

REPORTS = sorted((Path(__file__).parents[1] / "samples" / "openhtf_lot").glob("*.json"))
OUTCOMES = {"PASS": "pass", "FAIL": "fail", "ERROR": "error", "TIMEOUT": "error", "ABORTED": "stopped"}


def test_there_are_fourteen_reports() -> None:
    assert len(REPORTS) == 14


@pytest.mark.parametrize("version", ["v2", "v1"])
@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
async def test_a_report_comes_back_as_it_went_in(
    path: Path, version: str, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    report = json.loads(path.read_text(encoding="utf-8"))
    config = sim.config_toml().replace('kind = "tofupilot"', f'kind = "tofupilot"\napi_version = "{version}"')
    async with connect(config) as client:
        arguments = build_create_run_arguments(read_openhtf_run(path.read_bytes()))
        created = await ask(client, "create_run", **arguments, service="factory")
        runs = (await ask(client, "list_runs", service="factory", unit=report["dut_id"], limit=200))["runs"]
        answer = await ask(client, "get_failed_cases", run_id=created["run_id"])
    listed = next(run for run in runs if run["run_id"] == created["run_id"])
    assert listed["outcome"] == OUTCOMES[report["outcome"]]
    assert listed["unit"] == report["dut_id"]
    explained = answer["runs"][0]["cases"] if answer["runs"] else []
    failed = [(c["case"], c["attempts"]) for c in cases(report) if c["outcome"] in ("FAIL", "ERROR")]
    assert [(case["case"], case.get("attempts", 1)) for case in explained] == failed
    for case in explained:
        wanted = next(c for c in cases(report) if c["case"] == case["case"])
        shown = {m["name"]: (m["outcome"].upper(), m.get("value")) for m in case.get("measurements", [])}
        assert shown == {n: (m["outcome"], m.get("measured_value")) for n, m in wanted["measurements"].items()}


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
async def test_every_phase_and_measurement_is_with_the_service(
    path: Path, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    report = json.loads(path.read_text(encoding="utf-8"))
    async with connect(sim.config_toml()) as client:
        arguments = build_create_run_arguments(read_openhtf_run(path.read_bytes()))
        created = await ask(client, "create_run", **arguments, service="factory")
    kept = plainly(sim, created["run_id"])
    phases = [phase for phase in report["phases"] if phase["name"] != "trigger_phase"]
    assert [(p["name"], p["outcome"]) for p in kept["phases"]] == [(p["name"], p["outcome"]) for p in phases]
    for mine, theirs in zip(kept["phases"], phases, strict=True):
        values = {m["name"]: (m["outcome"], m.get("measured_value")) for m in mine["measurements"]}
        assert values == {n: (m["outcome"], m.get("measured_value")) for n, m in theirs["measurements"].items()}


async def test_limits_given_as_text_come_back_as_numbers(sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    path = next(path for path in REPORTS if path.stem == "SN-0001.1")
    async with connect(sim.config_toml()) as client:
        arguments = build_create_run_arguments(read_openhtf_run(path.read_bytes()))
        created = await ask(client, "create_run", **arguments, service="factory")
    rails = next(p for p in plainly(sim, created["run_id"])["phases"] if p["name"] == "power_rails")
    limits = {m["name"]: {v["operator"]: v["expected_value"] for v in m["validators"]} for m in rails["measurements"]}
    assert limits["rail_5v"] == {">=": 4.85, "<=": 5.15}
    assert limits["rail_3v3"] == {">=": 3.2, "<=": 3.4}
    assert limits["idle_current"] == {"<=": 0.12}


def cases(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Phases by name with their last attempt, as OpenHTF repeats them: one after another."""
    phases = [phase for phase in report["phases"] if phase["name"] != "trigger_phase"]
    tries = [list(group) for _, group in groupby(phases, key=lambda phase: phase["name"])]
    return [
        {"case": t[-1]["name"], "outcome": t[-1]["outcome"], "attempts": len(t), "measurements": t[-1]["measurements"]}
        for t in tries
    ]


def plainly(sim: SimLab, run_id: str) -> dict[str, Any]:
    """The run as the service itself tells it."""
    service = sim.services()["tofupilot"]
    headers = {"Authorization": f"Bearer {service['token']}"}
    reply = httpx2.get(f"{service['url']}/api/v2/runs/{run_id.partition(':')[2]}", headers=headers)
    return reply.raise_for_status().json()
