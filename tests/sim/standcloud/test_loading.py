"""`POST /test_report`: reports made by HardPy itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

REPORTS = sorted((Path(__file__).parents[2] / "samples/hardpy").glob("*.json"))


def test_there_are_a_passed_and_a_failed_report():
    statuses = {json.loads(path.read_text(encoding="utf-8"))["status"] for path in REPORTS}
    assert statuses == {"passed", "failed"}


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_a_real_report_is_read_back(fresh, path):
    report = json.loads(path.read_text(encoding="utf-8"))
    loaded = fresh.hardpy.post("/test_report", content=path.read_bytes())
    assert loaded.status_code == 201
    row = fresh.integration.get(f"/test_run/{loaded.json()['id']}").json()
    assert row["serial_number"] == report["dut"]["serial_number"]
    assert row["part_number"] == report["dut"]["part_number"]
    assert row["batch_number"] == "LOT-42"
    assert row["dut_info"] == report["dut"]["info"]
    assert row["test_stand_name"] == "FCT-01"
    assert row["status"] == {"passed": "PASS", "failed": "FAIL"}[report["status"]]
    cases = fresh.integration.get(f"/test_run/{loaded.json()['id']}/failed_case").json()
    expected = [
        (module_key, case_key, case["assertion_msg"], case["measurements"])
        for module_key, module in report["modules"].items()
        for case_key, case in module["cases"].items()
        if case["status"] == "failed"
    ]
    assert [(c["module_id"], c["case_id"], c["assertion_msg"], c["measurements"]) for c in cases] == expected


def test_loading_again_counts_attempts(fresh):
    content = REPORTS[0].read_bytes()
    ids = [fresh.hardpy.post("/test_report", content=content).json()["id"] for _ in range(2)]
    attempts = [fresh.hardpy.get(f"/test_run/{uuid}").json()["number_of_attempt"] for uuid in ids]
    assert attempts == [1, 2]
    serial = json.loads(content)["dut"]["serial_number"]
    (dut,) = fresh.rows("/tested_dut", serial_number=serial)
    assert dut["attempt_count"] == 2


@pytest.mark.parametrize("change", [{"status": "great"}, {"dut": None}, {"dut": "SN"}, {"start_time": "noon"}])
def test_what_is_no_report_is_refused_and_leaves_nothing(fresh, change):
    before = len(fresh.stands.rows)
    report = json.loads(REPORTS[0].read_text(encoding="utf-8")) | change
    reply = fresh.hardpy.post("/test_report", json=report)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"][1] == next(iter(change))
    assert len(fresh.stands.rows) == before
    assert fresh.hardpy.post("/test_report", content=b"{").status_code == 422


def test_the_integration_prefix_takes_no_report(fresh):
    assert fresh.integration.post("/test_report", content=REPORTS[0].read_bytes()).status_code in (404, 405)
