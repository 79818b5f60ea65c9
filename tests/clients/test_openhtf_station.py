"""A test station with OpenHTF 1.6.3 and TofuPilot's output callback, the way most reports reach TofuPilot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2


def test_a_stations_run_arrives_with_its_retries_limits_and_attachments(
    simlab: dict[str, Any], run_script: Callable[..., Any], ask: Callable[..., httpx2.Response]
) -> None:
    service = simlab["services"]["tofupilot"]
    arguments = (service["url"], service["token"], "OPENHTF-STATION-1")
    assert run_script("tofupilot-1.12.1", "openhtf_station.py", *arguments) == {"passed": False}

    (listed,) = ask("tofupilot", "/api/v2/runs", serial_numbers="OPENHTF-STATION-1").json()["data"]
    run = ask("tofupilot", f"/api/v2/runs/{listed['id']}").json()
    assert run["outcome"] == "FAIL"
    assert [(phase["name"], phase["outcome"]) for phase in run["phases"] if phase["name"] != "trigger_phase"] == [
        ("flash_firmware", "FAIL"),
        ("flash_firmware", "PASS"),
        ("power_rails", "FAIL"),
    ]
    (rail,) = run["phases"][-1]["measurements"]
    assert (rail["name"], rail["measured_value"], rail["outcome"]) == ("rail_5v", 5.31, "FAIL")
    assert {limit["expected_value"] for limit in rail["validators"]} == {4.85, 5.15}
    (attachment,) = run["attachments"]
    assert attachment["name"] == "trace.csv"
    assert httpx2.get(attachment["download_url"], trust_env=False).text == "0.1;5.31\n"
