"""v2 procedures, versions, parts, revisions, batches, stations, users, deployments."""

from __future__ import annotations


def test_procedures_come_with_their_runs_and_stations(tofupilot):
    listed = tofupilot.v2.get("/procedures").json()["data"]
    assert {p["name"] for p in listed} == {p.name for p in tofupilot.history.procedures.values()}
    procedure = tofupilot.v2.get(f"/procedures/{tofupilot.procedure_id}").json()
    runs = [run for run in tofupilot.history.runs if run.procedure.id == tofupilot.procedure_id]
    assert procedure["runs_count"] == len(runs)
    assert procedure["recent_runs"][0]["id"] == runs[-1].id
    assert {s["name"] for s in procedure["stations"]} == {"FVT-01", "FVT-02", "FVT-03"}


def test_a_deleted_procedure_takes_its_runs_along(fresh):
    assert fresh.v2.delete(f"/procedures/{fresh.procedure_id}").status_code == 200
    assert fresh.drain("/runs", procedure_ids=fresh.procedure_id) == []
    assert fresh.v2.get(f"/procedures/{fresh.procedure_id}").status_code == 404
    assert fresh.v2.post("/runs", json=fresh.body()).status_code == 404


def test_versions_are_made_by_hand_or_by_a_run(fresh):
    path = f"/procedures/{fresh.procedure_id}/versions"
    assert fresh.v2.post(path, json={"tag": "5.0"}).status_code == 200
    assert fresh.v2.post(path, json={"tag": "5.0"}).status_code == 409
    fresh.create(procedure_version="5.0")
    assert fresh.v2.get(f"{path}/5.0").json()["run_count"] == 1
    assert fresh.v2.delete(f"{path}/5.0").status_code == 409
    assert fresh.v2.get(f"{path}/6.0").status_code == 404


def test_parts_and_revisions_live_and_die(fresh):
    created = fresh.v2.post("/parts", json={"number": "PCB-5", "name": "Board", "revision_number": "A"})
    assert created.status_code == 200
    assert fresh.v2.post("/parts", json={"number": "pcb-5"}).status_code == 409
    assert fresh.v2.post("/parts/PCB-5/revisions", json={"number": "B"}).status_code == 200
    assert [r["number"] for r in fresh.v2.get("/parts/PCB-5").json()["revisions"]] == ["A", "B"]
    renamed = fresh.v2.patch("/parts/PCB-5", json={"new_number": "PCB-6", "metadata": {"layers": 4}}).json()
    assert (renamed["number"], renamed["name"]) == ("PCB-6", "Board")
    fresh.create(serial_number="OLD-1", part_number="PCB-6", revision_number="B")
    assert [u["serial_number"] for u in fresh.v2.get("/parts/PCB-6/revisions/b").json()["units"]] == ["OLD-1"]
    assert fresh.v2.delete("/parts/PCB-6/revisions/B").status_code == 200
    assert fresh.v2.get("/units/OLD-1").status_code == 404
    gone = fresh.v2.delete("/parts/PCB-6").json()
    assert (gone["id"], len(gone["deletedRevisionIds"])) == (created.json()["id"], 1)
    assert fresh.v2.get("/parts/PCB-6").status_code == 404


def test_batches_count_their_units(fresh):
    listed = {b["number"]: b["unit_count"] for b in fresh.drain("/batches")}
    assert (len(listed), listed["LOT-2614"]) == (20, 156)
    assert fresh.v2.post("/batches", json={"number": "lot-2614"}).status_code == 409
    assert fresh.v2.patch("/batches/LOT-2614", json={"new_number": "LOT-B"}).status_code == 200
    assert len(fresh.drain("/runs", batch_numbers="LOT-B")) > 400
    assert fresh.v2.delete("/batches/LOT-B").status_code == 200
    assert fresh.drain("/runs", batch_numbers="LOT-B") == []
    assert fresh.v2.get("/units/STB4K-002029").json()["batch"] is None


def test_a_removed_station_is_locked_out_and_its_runs_stay(fresh):
    station = next(s for s in fresh.v2.get("/stations").json()["data"] if s["name"] == "FVT-01")
    headers = {"Authorization": "Bearer sim-station-fvt-01"}
    assert fresh.v2.get("/whoami", headers=headers).status_code == 200
    assert fresh.v2.patch(f"/stations/{station['id']}", json={"name": "FVT-1A"}).json()["name"] == "FVT-1A"
    assert fresh.v2.delete(f"/stations/{station['id']}").status_code == 200
    assert fresh.v2.get("/whoami", headers=headers).status_code == 401
    assert fresh.v2.get("/runs", params={"created_by_station_ids": station["id"]}).json()["data"]


def test_users_are_a_bare_list_and_deployments_are_none(tofupilot):
    users = tofupilot.v2.get("/users").json()
    assert [u["email"] for u in users] == ["you@lab.example", "colleague@lab.example"]
    assert tofupilot.v2.get("/deployments").json() == {"data": [], "meta": {"has_more": False, "next_cursor": None}}
