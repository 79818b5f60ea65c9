"""TofuPilot's v1 client: 1.12.1, the last of its own, and the one that 2.26.1 still carries for OpenHTF."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

REPORT = Path(__file__).parents[1] / "samples" / "openhtf_lot" / "SN-0004.1.json"
ATTACHED = "scope trace\n0.1;4.98\n0.2;5.31\n"


@pytest.fixture(scope="module", params=["tofupilot-1.12.1", "tofupilot-2.26.1"])
def serial_number(request: pytest.FixtureRequest) -> str:
    return request.param.upper()


@pytest.fixture(scope="module")
def answers(
    serial_number: str, simlab: dict[str, Any], run_script: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the client's calls returned."""
    attachment = tmp_path_factory.mktemp("files") / "trace.csv"
    attachment.write_text(ATTACHED, encoding="utf-8")
    service = simlab["services"]["tofupilot"]
    arguments = (service["url"], service["token"], serial_number, REPORT, attachment)
    return run_script(serial_number.lower(), "tofupilot_v1.py", *arguments)


@pytest.fixture
def stored(ask: Callable[..., httpx2.Response], answers: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    """The lab's own record of a run, by its id."""
    return lambda run_id: ask("tofupilot", f"/api/v2/runs/{run_id}").raise_for_status().json()


def test_a_created_run_is_stored_with_its_outcome_times_phases_and_limits(
    answers: dict[str, Any], stored: Callable[[str], dict[str, Any]], serial_number: str
) -> None:
    assert answers["created"]["success"] is True
    run = stored(answers["created"]["id"])
    assert (run["outcome"], run["unit"]["serial_number"]) == ("FAIL", serial_number)
    assert run["unit"]["part"]["number"] == "PCB01"
    assert run["started_at"].startswith("2026-09-21T12:00:00")
    assert run["ended_at"].startswith("2026-09-21T12:02:05")
    assert [(phase["name"], phase["outcome"]) for phase in run["phases"]] == [
        ("supply_voltage", "FAIL"),
        ("leds", "PASS"),
    ]
    voltage, colour = (phase["measurements"][0] for phase in run["phases"])
    assert (voltage["name"], voltage["outcome"], voltage["measured_value"]) == ("vdd_5v", "FAIL", 5.31)
    assert voltage["units"] == "V"
    assert {limit["expected_value"] for limit in voltage["validators"]} == {4.85, 5.15}
    assert colour["measured_value"] == "green"


def test_a_sub_unit_is_linked_to_its_parent(
    answers: dict[str, Any], ask: Callable[..., httpx2.Response], serial_number: str
) -> None:
    unit = ask("tofupilot", f"/api/v2/units/{serial_number}").raise_for_status().json()
    assert [child["serial_number"] for child in unit["children"]] == [f"{serial_number}-SUB"]


def test_an_attachment_of_a_run_comes_back_byte_for_byte(
    answers: dict[str, Any], stored: Callable[[str], dict[str, Any]]
) -> None:
    (attachment,) = stored(answers["created"]["id"])["attachments"]
    assert attachment["name"] == "trace.csv"
    assert httpx2.get(attachment["download_url"], trust_env=False).text == ATTACHED


def test_an_openhtf_report_becomes_a_run_with_every_phase_attempt(
    answers: dict[str, Any], stored: Callable[[str], dict[str, Any]]
) -> None:
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    run = stored(answers["imported"])
    assert (run["outcome"], run["unit"]["serial_number"]) == (report["outcome"], report["dut_id"])
    assert [phase["name"] for phase in run["phases"]] == [phase["name"] for phase in report["phases"]]
    attached = [name for phase in report["phases"] for name in phase["attachments"]]
    assert [attachment["name"] for attachment in run["attachments"]] == attached
    assert attached


def test_the_runs_of_a_unit_are_found_by_its_serial_number(answers: dict[str, Any]) -> None:
    assert answers["runs"]["success"] is True
    assert [run["id"] for run in answers["runs"]["result"]] == [answers["created"]["id"]]


def test_a_wrong_key_is_refused_with_the_services_own_words(answers: dict[str, Any]) -> None:
    refused = answers["refused"]
    assert (refused["success"], refused["status_code"]) == (False, 401)
    assert refused["error"]["message"]
    assert answers["no_such_unit"]["success"] is False or answers["no_such_unit"]["result"] == []
