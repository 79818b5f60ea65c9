"""TofuPilot's SDK 2.26.1, API v2: it takes status 200 and every required key, or raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

REPORT = Path(__file__).parents[1] / "samples" / "openhtf_lot" / "SN-0007.1.json"
ATTACHED = "scope trace\n0.1;4.98\n"


@pytest.fixture(scope="module")
def answers(
    simlab: dict[str, Any], run_script: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the SDK's calls returned."""
    attachment = tmp_path_factory.mktemp("files") / "trace.csv"
    attachment.write_text(ATTACHED, encoding="utf-8")
    service = simlab["services"]["tofupilot"]
    return run_script(
        "tofupilot-2.26.1", "tofupilot_v2.py", service["url"] + "/api", service["token"], REPORT, attachment
    )


def test_the_key_says_whose_it_is(answers: dict[str, Any], ask: Callable[..., httpx2.Response]) -> None:
    assert answers["whoami"] == ask("tofupilot", "/api/v2/whoami").json()


def test_a_procedure_is_made_read_and_listed(answers: dict[str, Any]) -> None:
    assert answers["procedure"]["name"] == "V2 client procedure"
    assert "V2 client procedure" in answers["procedures"]


def test_a_run_comes_back_as_it_was_sent(answers: dict[str, Any]) -> None:
    run = answers["run"]
    assert (run["id"], run["outcome"]) == (answers["failed"], "FAIL")
    assert run["unit"]["serial_number"] == "V2-CLIENT-0000"
    assert [(phase["name"], phase["outcome"], phase["retry_count"]) for phase in run["phases"]] == [
        ("flash", "FAIL", 0),
        ("flash", "PASS", 1),
        ("supply_voltage", "FAIL", 0),
    ]
    (voltage,) = run["phases"][2]["measurements"]
    assert (voltage["measured_value"], voltage["units"], voltage["outcome"]) == (5.31, "V", "FAIL")
    assert [(limit["operator"], limit["expected_value"]) for limit in voltage["validators"]] == [
        (">=", 4.85),
        ("<=", 5.15),
    ]
    assert [unit["serial_number"] for unit in run["sub_units"]] == ["V2-CLIENT-SUB-1"]


def test_a_run_sent_again_under_its_reference_is_not_made_twice(answers: dict[str, Any]) -> None:
    assert answers["sent_again"] == answers["failed"]


def test_an_attachment_is_downloaded_as_it_was_uploaded(answers: dict[str, Any]) -> None:
    assert [attachment["id"] for attachment in answers["run"]["attachments"]] == [answers["attachment"]]
    assert answers["downloaded"] == ATTACHED


def test_paging_meets_every_run_once(answers: dict[str, Any]) -> None:
    assert [len(page) for page in answers["pages"]] == [3, 3, 1]
    met = [run_id for page in answers["pages"] for run_id in page]
    assert sorted(met) == sorted(answers["created"])


def test_repeated_query_keys_are_alternatives(answers: dict[str, Any]) -> None:
    assert answers["by_serial_numbers"] == ["V2-CLIENT-0001", "V2-CLIENT-0002"]


def test_a_unit_is_known_by_its_serial_number(answers: dict[str, Any]) -> None:
    assert answers["units"] == ["V2-CLIENT-0000"]
    assert answers["unit"]["part"]["number"] == "PCB01"
    assert [child["serial_number"] for child in answers["unit"]["children"]] == ["V2-CLIENT-SUB-1"]


def test_retried_phases_are_hidden_unless_asked_for(answers: dict[str, Any]) -> None:
    assert answers["phases_final"] == [["PASS", 1]]
    assert sorted(answers["phases_all"]) == [["FAIL", 0], ["PASS", 1]]


def test_a_measurement_is_listed_with_its_value_and_run(answers: dict[str, Any]) -> None:
    (measurement,) = answers["measurements"]
    assert measurement["run_id"] == answers["failed"]
    assert "5.31" in json.dumps(measurement)


def test_the_same_report_is_imported_once(answers: dict[str, Any], ask: Callable[..., httpx2.Response]) -> None:
    first, second = answers["imports"]
    assert (first["success"], second["success"]) == (True, True)
    assert (first["already_imported"], second["already_imported"]) == (False, True)
    assert first["id"] == second["id"]
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    run = ask("tofupilot", f"/api/v2/runs/{first['id']}").json()
    assert (run["unit"]["serial_number"], run["outcome"]) == (report["dut_id"], report["outcome"])


@pytest.mark.parametrize(
    ("case", "error", "status"),
    [
        ("unknown run", "ErrorNOTFOUND", 404),
        ("malformed run", "ErrorBADREQUEST", 400),
        ("unknown procedure", "ErrorNOTFOUND", 404),
        ("bad key", "ErrorUNAUTHORIZED", 401),
        ("deleted run", "ErrorNOTFOUND", 404),
    ],
)
def test_a_refusal_is_the_sdks_typed_error(answers: dict[str, Any], case: str, error: str, status: int) -> None:
    name, code, message = answers["refusals"][case]
    assert (name, code) == (error, status)
    assert message


def test_deleted_runs_are_gone_and_the_others_stay(answers: dict[str, Any]) -> None:
    assert len(answers["deleted"]) == 2
    assert set(answers["left"]) == set(answers["created"][4:])
