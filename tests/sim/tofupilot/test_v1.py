"""REST v1, over the same store as v2."""

from __future__ import annotations

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
PHASES = [
    {
        "name": "power",
        "outcome": "FAIL",
        "start_time_millis": 1767254400000,
        "end_time_millis": 1767254411000,
        "measurements": [
            {
                "name": "rail",
                "outcome": "FAIL",
                "measured_value": 5.4,
                "units": "V",
                "lower_limit": 4.8,
                "upper_limit": 5.2,
            }
        ],
    }
]


def _body(**changes):
    unit = {"serial_number": "PCBA01-0001", "part_number": "PCB01", "part_name": "Board", "revision": "A"}
    return {"procedure_id": "FVT1", "unit_under_test": unit, "run_passed": False} | changes


def _create(tofupilot, **changes):
    reply = tofupilot.v1.post("/runs", json=_body(**changes))
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_a_run_of_v1_is_the_same_run_in_v2(fresh):
    created = _create(
        fresh,
        started_at="2026-01-01T08:00:00Z",
        duration="PT1M11S",
        phases=PHASES,
        procedure_version="9",
        report_variables={"operator": "a"},
    )
    assert created["message"] == f"Run created successfully: {created['url']}"
    run = fresh.run(created["id"])
    assert (run["outcome"], run["duration"], run["started_at"]) == ("FAIL", "PT1M11S", "2026-01-01T08:00:00.000Z")
    assert (run["procedure"]["id"], run["unit"]["part"]["name"]) == (fresh.procedure_id, "Board")
    rail = run["phases"][0]["measurements"][0]
    assert [(v["operator"], v["expected_value"], v["outcome"]) for v in rail["validators"]] == [
        (">=", 4.8, "PASS"),
        ("<=", 5.2, "FAIL"),
    ]
    assert run["metadata"] == {"operator": "a"}


def test_runs_of_a_unit_come_in_both_shapes(fresh):
    body = fresh.v1.get("/runs", params={"serial_number": "STB4K-000003"}).json()
    runs = fresh.history.units["STB4K-000003"].runs
    assert set(body) == {"message", "data", "result"}
    for key in ("data", "result"):
        assert [run["id"] for run in body[key]] == [run.id for run in reversed(runs)]


def test_the_documented_shape_and_the_one_the_client_reads_tell_the_same(fresh):
    _create(fresh, phases=PHASES, duration="PT11S", started_at="2026-01-01T08:00:00Z")
    body = fresh.v1.get("/runs", params={"serial_number": "pcba01-0001"}).json()
    (told,), (typed,) = body["data"], body["result"]
    assert told["status"] == {"name": "Fail", "category": "Failed"}
    assert told["createdBy"] == {"email": "you@lab.example"}
    assert told["duration"] == typed["duration"] == "PT11S"
    assert told["phases"][0]["measurements"] == [
        {
            "name": "rail",
            "measured_value": 5.4,
            "outcome": "FAIL",
            "units": "V",
            "lowerLimit": 4.8,
            "upperLimit": 5.2,
        }
    ]
    assert (typed["outcome"], typed["id"]) == ("FAIL", told["id"])


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"procedure_id": "NOPE"}, 404, "NOPE"),
        ({"procedure_id": None}, 400, "procedure_id"),
        ({"unit_under_test": None}, 400, "unit_under_test"),
        ({"run_passed": "yes"}, 400, "run_passed"),
        ({"duration": "11 s"}, 400, "duration"),
        ({"sub_units": [5]}, 400, "sub_units"),
        ({"report_variables": [5]}, 400, "report_variables"),
        ({"phases": [{"name": "a", "outcome": "PASS", "start_time_millis": "noon"}]}, 400, "start_time_millis"),
        ({"phases": [{"name": "a", "outcome": "OK"}]}, 400, "outcome"),
        ({"sub_units": [{"serial_number": "NOBODY"}]}, 404, "NOBODY"),
    ],
)
def test_v1_says_in_its_error_what_it_could_not_take(fresh, changes, status, word):
    reply = fresh.v1.post("/runs", json=_body(**changes))
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/json"
    assert word in reply.json()["error"]["message"]


def test_a_procedure_that_is_only_named_is_made(fresh):
    created = _create(fresh, procedure_id=None, procedure_name="Burn-in")
    assert fresh.run(created["id"])["procedure"]["name"] == "Burn-in"
    again = _create(fresh, procedure_id=None, procedure_name="burn-in")
    assert fresh.run(again["id"])["procedure"]["id"] == fresh.run(created["id"])["procedure"]["id"]


def test_a_run_and_a_unit_are_deleted(fresh):
    first, second = _create(fresh)["id"], _create(fresh)["id"]
    reply = fresh.v1.delete(f"/runs/{first}")
    assert reply.json() == {"message": f"Run {first} deleted successfully."}
    assert fresh.v1.delete(f"/runs/{first}").status_code == 404
    assert fresh.v1.delete("/units/PCBA01-0001").json() == {"message": "Unit PCBA01-0001 deleted successfully."}
    assert fresh.v2.get(f"/runs/{second}").status_code == 404
    assert fresh.v1.get("/runs", params={"serial_number": "PCBA01-0001"}).status_code == 404


def test_sub_units_are_added_to_a_unit(fresh):
    _create(fresh)
    fresh.create(serial_number="CELL01-0001")
    body = {"sub_units": [{"serial_number": "CELL01-0001"}]}
    assert fresh.v1.patch("/units/PCBA01-0001", json=body).json() == {
        "message": "Unit PCBA01-0001 updated successfully."
    }
    children = fresh.v2.get("/units/PCBA01-0001").json()["children"]
    assert [child["serial_number"] for child in children] == ["CELL01-0001"]
    unknown = {"sub_units": [{"serial_number": "NOBODY"}]}
    assert fresh.v1.patch("/units/PCBA01-0001", json=unknown).status_code == 404


def test_a_report_is_uploaded_imported_and_given_its_file(fresh):
    report = (SAMPLES / "openhtf_lot/SN-0004.1.json").read_bytes()
    body = {"name": "r.json", "mimeType": "application/json", "sizeBytes": len(report)}
    upload = fresh.v1.post("/uploads/initialize", json=body).json()
    assert fresh.anyone.put(upload["uploadUrl"], content=report).status_code == 200
    created = fresh.v1.post("/import", json={"upload_id": upload["id"], "importer": "OPENHTF"}).json()
    run = fresh.run(created["id"])
    assert (run["outcome"], run["unit"]["serial_number"], run["attachments"]) == ("FAIL", "SN-0004", [])
    file = fresh.v1.post("/uploads/initialize", json={"name": "trace.csv"}).json()
    fresh.anyone.put(file["uploadUrl"], content=b"f,g\n")
    for _ in range(2):
        assert fresh.v1.post("/uploads/sync", json={"upload_id": file["id"], "run_id": run["id"]}).status_code == 200
    assert [f["name"] for f in fresh.run(run["id"])["attachments"]] == ["trace.csv"]


def test_a_sized_grant_takes_exactly_that_many_bytes(fresh):
    upload = fresh.v1.post("/uploads/initialize", json={"name": "r.json", "sizeBytes": 4}).json()
    assert fresh.anyone.put(upload["uploadUrl"], content=b"12345").status_code == 403
    assert fresh.anyone.put(upload["uploadUrl"], content=b"1234").status_code == 200


def test_a_report_that_cannot_be_read_is_a_422(fresh):
    upload = fresh.v1.post("/uploads/initialize", json={"name": "r.json"}).json()
    fresh.anyone.put(upload["uploadUrl"], content=b"hello")
    reply = fresh.v1.post("/import", json={"upload_id": upload["id"], "importer": "OPENHTF"})
    assert (reply.status_code, reply.json()["error"]["message"]) == (422, "OPENHTF import failed: not JSON")
