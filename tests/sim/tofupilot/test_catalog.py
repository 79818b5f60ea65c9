"""v2 procedures and batches."""

from __future__ import annotations


def test_procedures_come_with_their_runs_and_stations(tofupilot):
    listed = tofupilot.v2.get("/procedures").json()["data"]
    assert {p["name"] for p in listed} == {p.name for p in tofupilot.history.procedures.values()}
    procedure = tofupilot.v2.get(f"/procedures/{tofupilot.procedure_id}").json()
    runs = [run for run in tofupilot.history.runs if run.procedure.id == tofupilot.procedure_id]
    assert procedure["runs_count"] == len(runs)
    assert {s["name"] for s in procedure["stations"]} == {"FVT-01", "FVT-02", "FVT-03"}


def test_batches_count_their_units(tofupilot):
    listed = {b["number"]: b["unit_count"] for b in tofupilot.drain("/batches")}
    assert (len(listed), listed["LOT-2614"]) == (20, 156)
