"""What was recorded is said back as the service has it, and what waits as it will be sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fixture_types import Connect, ToolCaller
from tests.server.production.conftest import SAMPLES

if TYPE_CHECKING:
    from tests.server.production.conftest import Factory

VERSIONS = pytest.mark.parametrize("version", ["v2", "v1"])
RUN = {
    "procedure_id": "Main board FCT",
    "procedure_name": "Main board FCT",
    "serial_number": "SAID-1",
    "part_number": "STB-4K",
    "started_at": "2026-11-20T08:00:00Z",
    "ended_at": "2026-11-20T08:01:35Z",
}
RAIL = {"name": "rail_5v", "value": 5.31, "units": "V", "limits": "4.85 <= x <= 5.15"}
FAILED = {**RUN, "outcome": "fail", "phases": [{"name": "power", "outcome": "fail", "measurements": [RAIL]}]}
FIVE_MINUTES_LATER = {"started_at": "2026-11-20T08:05:00Z", "ended_at": "2026-11-20T08:06:00Z"}


@VERSIONS
async def test_a_recorded_run_is_said_as_it_was_stored(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(factory.config(version)) as client:
        first = (await ask(client, "create_run", **FAILED))["run"]
        second = (await ask(client, "create_run", **RUN | FIVE_MINUTES_LATER, outcome="pass"))["run"]
    assert (first["unit"], first["started_at"], first["duration_s"]) == ("SAID-1", "2026-11-20T08:00:00Z", 95.0)
    assert (first["outcome"], first["reason"]) == ("fail", "power: rail_5v 5.31 V is above 5.15 V")
    assert first["unit_is"] == ("new" if version == "v2" else "not told")
    assert second["unit_is"] == "known"
    assert "reason" not in second
    kept = factory.rows_of("SAID-1")[0]["unit"]["part"]
    if version == "v2":  # the document of v1 shows no part in a run
        assert (first["part"], first["part_revision"]) == ("STB-4K", kept["revision"]["number"])
        assert first["part_revision_is"] == "the service's choice"
        assert "part_revision_is" not in second, "the unit had it before"


async def test_a_revision_that_was_given_is_not_the_services_choice(
    factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(factory.config("v2")) as client:
        chosen = (await ask(client, "create_run", **FAILED))["run"]["part_revision"]
        given = RUN | FIVE_MINUTES_LATER | {"serial_number": "SAID-2", "revision": chosen}
        stored = (await ask(client, "create_run", **given, outcome="pass"))["run"]
    assert (stored["unit_is"], stored["part_revision"]) == ("new", chosen)
    assert "part_revision_is" not in stored


@VERSIONS
async def test_an_imported_report_is_said_as_it_was_stored(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    name = "openhtf_lot/SN-0004.1.json"
    report = json.loads((SAMPLES / name).read_bytes())
    failed = next(phase for phase in report["phases"] if phase["outcome"] == "FAIL")
    ((measured, _),) = failed["measurements"].items()
    content = (SAMPLES / name).read_text(encoding="utf-8")
    async with connect(factory.config(version)) as client:
        (stored,) = (await ask(client, "import_report", content=content))["runs"]
    assert stored["unit"] == report["dut_id"]
    assert stored["outcome"] == "fail"
    assert stored["reason"].startswith(f"{failed['name']}: {measured} ")


async def test_a_run_that_waits_is_said_as_it_will_be_sent(dead_url: str, connect: Connect, ask: ToolCaller) -> None:
    config = f'[services.factory]\nkind = "tofupilot"\nurl = "{dead_url}"\ntoken = "t"\n'
    async with connect(config) as client:
        done = await ask(client, "create_run", **FAILED)
    assert done["queued"]
    assert done["run"] == {
        "unit": "SAID-1",
        "part": "STB-4K",
        "outcome": "fail",
        "started_at": "2026-11-20T08:00:00Z",
        "duration_s": 95.0,
    }


async def test_rows_of_v1_name_the_failing_phase_and_its_reason(
    factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(factory.config("v1")) as client:
        await ask(client, "create_run", **FAILED)
        asked = factory.asked()
        (row,) = (await ask(client, "list_runs", unit="SAID-1"))["runs"]
        assert factory.asked() == asked + 1
    assert row["reason"] == "power: rail_5v 5.31 V is above 5.15 V"


async def test_a_reason_is_given_once_beside_its_case(factory: Factory, connect: Connect, ask: ToolCaller) -> None:
    async with connect(factory.config("v2")) as client:
        runs = (await ask(client, "list_runs", outcome="fail", limit=20))["runs"]
        told = [(await ask(client, "get_failed_cases", run_id=run["run_id"]))["runs"][0] for run in runs]
    explained = [run for run in told if any(case.get("reason") for case in run.get("cases", []))]
    assert explained
    assert not any("reason" in run for run in explained)
