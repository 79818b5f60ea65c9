"""The reader API under both prefixes."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["hardpy", "integration"])
def prefix(request, standcloud):
    return getattr(standcloud, request.param)


def test_all_rows_come_at_once_newest_first(standcloud, prefix):
    rows = prefix.get("/test_run").json()
    assert [row["test_run_id"] for row in rows] == [row.id for row in reversed(standcloud.stands.rows)]
    assert len(rows) > 6000


def test_limit_and_offset_cut_when_given(standcloud):
    every = [row["test_run_id"] for row in standcloud.rows()]
    assert [row["test_run_id"] for row in standcloud.rows(limit=7, offset=3)] == every[3:10]
    assert [row["test_run_id"] for row in standcloud.rows(offset=len(every) - 2)] == every[-2:]
    assert standcloud.rows(limit=0) == []
    assert standcloud.integration.get("/test_run", params={"limit": "all"}).status_code == 422


FILTERS = [
    ({"status": "FAIL"}, lambda r: r.status == "fail"),
    ({"status": "stop", "part_number": "PSU-12"}, lambda r: r.status == "stop" and r.part == "PSU-12"),
    ({"serial_number": "stb4k-000044"}, lambda r: r.serial == "STB4K-000044"),
    ({"batch_number": "LOT-2603"}, lambda r: r.batch == "LOT-2603"),
    ({"number_of_attempt": 2}, lambda r: r.attempt == 2),
    ({"test_stand_name": "PSU stand 2"}, lambda r: r.stand.number == 2),
    ({"test_stand_number": 11, "status": "fail"}, lambda r: r.stand.number == 11 and r.status == "fail"),
    ({"test_plan_name": "STB-4K burn-in"}, lambda r: r.part == "STB-4K"),
    ({"manufacturer": "XYZ_Corp", "status": "fail"}, lambda r: int(r.serial[-6:]) % 3 == 0 and r.status == "fail"),
    ({"SerialNumber": "C-000017"}, lambda r: r.serial[-6:] == "000017"),
    ({"no_such_key": "x"}, lambda r: False),
]


@pytest.mark.parametrize(("params", "meets"), FILTERS, ids=[str(params) for params, _ in FILTERS])
def test_fields_and_keys_of_dut_info_are_filters(standcloud, params, meets):
    found = {row["test_run_id"] for row in standcloud.rows(**params)}
    assert found == {row.id for row in standcloud.stands.rows if meets(row)}


def test_the_endpoints_disagree_as_the_vendors_documents_do(standcloud):
    listed = standcloud.rows(status="fail", limit=1)[0]
    path = f"/test_run/{listed['test_run_id']}"
    hardpy, integration = standcloud.hardpy.get(path).json(), standcloud.integration.get(path).json()
    assert (listed["status"], hardpy["status"]) == ("fail", "FAIL")
    assert listed["duration"].startswith("PT")
    assert len(hardpy["duration"].split(":")) == 3
    assert "stop_time" not in listed
    assert hardpy["stop_time"] == listed["finish_time"]
    assert "finish_time" not in hardpy
    assert integration["finish_time"] == integration["stop_time"] == listed["finish_time"]


def test_failed_cases_show_the_measurement_beyond_its_limit(standcloud):
    for row in standcloud.rows(status="fail", limit=40):
        (case,) = standcloud.integration.get(f"/test_run/{row['test_run_id']}/failed_case").json()
        (measured,) = case["measurements"]
        low, high, value = measured["lower_limit"], measured["upper_limit"], measured["value"]
        assert (low is not None and value < low) or (high is not None and value > high)
        assert str(value) in case["assertion_msg"]
        assert case["status"] == "Fail"


@pytest.mark.parametrize("status", ["pass", "stop", "skip"])
def test_a_run_that_did_not_fail_has_no_failed_case(standcloud, status):
    row = standcloud.rows(status=status, limit=1)[0]
    assert standcloud.integration.get(f"/test_run/{row['test_run_id']}/failed_case").json() == []


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-KEY": "wrong"}, {"Authorization": "Bearer wrong"}, {"Authorization": "token sim-token-you"}]
)
def test_a_wrong_or_missing_key_is_401(standcloud, headers):
    for path in ("/hardpy/api/v1/test_run", "/integration/api/v1/test_run"):
        reply = standcloud.anyone.get(path, headers=headers)
        assert (reply.status_code, list(reply.json())) == (401, ["detail"])


def test_an_unknown_run_is_404(prefix):
    for tail in ("", "/failed_case"):
        assert prefix.get(f"/test_run/00000000-0000-4000-8000-000000000000{tail}").status_code == 404
        assert prefix.get(f"/test_run/17{tail}").status_code == 404
