"""`POST /v2/runs`, and the run that comes back."""

from __future__ import annotations

import pytest

MEASUREMENTS = [
    {
        "name": "rail",
        "outcome": "PASS",
        "measured_value": 5.0,
        "units": "V",
        "validators": [
            {"operator": ">=", "expected_value": 4.8, "outcome": "PASS"},
            {"operator": "<=", "expected_value": 5.2},
        ],
    },
    {
        "name": "label",
        "outcome": "FAIL",
        "measured_value": "B",
        "validators": [{"operator": "==", "expected_value": "A", "outcome": "FAIL"}],
    },
]
PHASE = {
    "name": "power",
    "outcome": "PASS",
    "started_at": "2026-03-01T08:00:00Z",
    "ended_at": "2026-03-01T08:00:20Z",
    "measurements": MEASUREMENTS,
}


def test_a_run_comes_back_as_it_was_told(fresh):
    run_id = fresh.create(
        outcome="FAIL",
        revision_number="C",
        batch_number="L-1",
        procedure_version="3.0",
        docstring="hello",
        phases=[PHASE],
        metadata={"rig": "left", "n": 2},
        logs=[
            {
                "level": "ERROR",
                "timestamp": "2026-03-01T08:00:05Z",
                "message": "no ack",
                "source_file": "a.py",
                "line_number": 3,
            }
        ],
    )
    run = fresh.run(run_id)
    assert (run["outcome"], run["duration"], run["docstring"]) == ("FAIL", "PT1M30.5S", "hello")
    assert run["started_at"] == "2026-03-01T08:00:00.000Z"
    assert run["procedure"]["version"]["tag"] == "3.0"
    assert run["unit"]["part"]["number"] == "PCB-7"
    assert run["unit"]["part"]["revision"]["number"] == "C"
    assert run["unit"]["batch"]["number"] == "L-1"
    assert run["metadata"] == {"rig": "left", "n": 2}
    assert [line["message"] for line in run["logs"]] == ["no ack"]
    rail, label = run["phases"][0]["measurements"]
    assert [(v["operator"], v["expected_value"], v["outcome"]) for v in rail["validators"]] == [
        (">=", 4.8, "PASS"),
        ("<=", 5.2, "PASS"),
    ]
    assert [(v["operator"], v["outcome"]) for v in label["validators"]] == [("==", "FAIL")]


def test_the_same_client_run_ref_makes_one_run(fresh):
    before = len(fresh.history.runs)
    first = fresh.create(client_run_ref="dock-1_17")
    assert fresh.create(client_run_ref="dock-1_17") == first
    assert fresh.create(client_run_ref="dock-1_18") != first
    assert len(fresh.history.runs) == before + 2


def test_a_deleted_run_frees_its_client_run_ref(fresh):
    first = fresh.create(client_run_ref="dock-1_17")
    fresh.v2.delete("/runs", params={"ids": first})
    assert fresh.create(client_run_ref="dock-1_17") != first


@pytest.mark.parametrize(
    ("changes", "status", "code", "place"),
    [
        ({"outcome": "pass"}, 400, "BAD_REQUEST", "outcome"),
        ({"procedure_id": "FVT1"}, 400, "BAD_REQUEST", "procedure_id"),
        ({"serial_number": "no spaces"}, 400, "BAD_REQUEST", "serial_number"),
        ({"started_at": "yesterday"}, 400, "BAD_REQUEST", "started_at"),
        ({"ended_at": "2026-02-01T08:00:00Z"}, 400, "BAD_REQUEST", "ended_at"),
        ({"part_number": None}, 422, "UNPROCESSABLE_CONTENT", "part_number"),
        ({"procedure_id": "00000000-0000-4000-8000-000000000000"}, 404, "NOT_FOUND", ""),
        ({"sub_units": ["NOBODY"]}, 404, "NOT_FOUND", ""),
        ({"sub_units": ["PSU12-000001"]}, 409, "CONFLICT", ""),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place_and_leaves_nothing(fresh, changes, status, code, place):
    before = len(fresh.history.runs), len(fresh.history.units)
    reply = fresh.v2.post("/runs", json=fresh.body(**changes))
    body = reply.json()
    assert (reply.status_code, body["code"]) == (status, code)
    assert body["message"]
    assert body["issues"][0].get("path", [""])[0] == place
    assert (len(fresh.history.runs), len(fresh.history.units)) == before


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"outcome": NaN}'])
def test_a_body_that_is_no_json_object_is_a_400(tofupilot, content):
    reply = tofupilot.v2.post("/runs", content=content)
    assert (reply.status_code, reply.json()["code"]) == (400, "BAD_REQUEST")


def test_serial_numbers_are_matched_in_any_case_and_give_the_part_number(fresh):
    run = fresh.run(fresh.create(serial_number="stb4k-000005", part_number=None))
    assert run["unit"]["serial_number"] == "STB4K-000005"
    new = fresh.run(fresh.create(serial_number="STB4K-900001", part_number=None))
    assert new["unit"]["part"]["number"] == "STB-4K"


def test_phases_of_one_name_are_attempts_and_the_last_is_final(fresh):
    attempts = [PHASE | {"outcome": o, "retry_count": n} for n, o in enumerate(("FAIL", "FAIL", "PASS"))]
    run_id = fresh.create(serial_number="RETRY-1", phases=attempts)
    assert [p["retry_count"] for p in fresh.run(run_id)["phases"]] == [0, 1, 2]
    query = {"procedure_id": fresh.procedure_id, "serial_numbers": "RETRY-1"}
    rows = fresh.drain("/phases", **query)
    assert [(p["retry_count"], p["is_final_attempt"], p["outcome"]) for p in rows] == [
        (0, False, "FAIL"),
        (1, False, "FAIL"),
        (2, True, "PASS"),
    ]
    final = fresh.drain("/phases", exclude_retries="true", **query)
    assert [p["retry_count"] for p in final] == [2]
    assert len(fresh.drain("/measurements", exclude_retries="true", **query)) == len(MEASUREMENTS)
    assert len(fresh.drain("/measurements", **query)) == 3 * len(MEASUREMENTS)
