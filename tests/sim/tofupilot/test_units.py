"""v2 units."""

from __future__ import annotations

import pytest


def test_a_unit_shows_its_part_batch_and_sub_units(tofupilot):
    unit = tofupilot.v2.get("/units/stb4k-000021").json()
    assert unit["serial_number"] == "STB4K-000021"
    assert (unit["part"]["number"], unit["batch"]["number"], unit["parent"]) == ("STB-4K", "LOT-2601", None)
    assert [child["serial_number"] for child in unit["children"]] == ["PSU12-000021"]
    psu = tofupilot.v2.get("/units/PSU12-000021").json()
    assert psu["parent"]["serial_number"] == "STB4K-000021"


def test_pages_visit_every_unit_once(tofupilot):
    rows = tofupilot.drain("/units")
    assert len(rows) == len({row["id"] for row in rows}) == len(tofupilot.history.units)


def test_a_unit_is_changed_only_where_told(fresh):
    assert fresh.v2.patch("/units/STB4K-000030", json={"sample": "golden"}).status_code == 200
    assert fresh.v2.patch("/units/STB4K-000030", json={"batch_number": None}).status_code == 200
    unit = fresh.v2.get("/units/STB4K-000030").json()
    assert (unit["batch"], unit["sample"], unit["part"]["revision"]["number"]) == (None, "golden", "A")


def test_sub_units_are_added_and_removed(fresh):
    fresh.create(serial_number="TUNER-1")
    child = {"child_serial_number": "TUNER-1"}
    assert fresh.v2.put("/units/STB4K-000040/children", json=child).status_code == 200
    children = fresh.v2.get("/units/STB4K-000040").json()["children"]
    assert [c["serial_number"] for c in children] == ["PSU12-000040", "TUNER-1"]
    assert fresh.v2.put("/units/STB4K-000041/children", json=child).status_code == 400
    assert fresh.v2.delete("/units/STB4K-000040/children", params=child).status_code == 200
    assert fresh.v2.get("/units/TUNER-1").json()["parent"] is None
    assert fresh.v2.delete("/units/STB4K-000040/children", params=child).status_code == 400


def test_a_unit_cannot_be_inside_itself(fresh):
    reply = fresh.v2.put("/units/PSU12-000050/children", json={"child_serial_number": "STB4K-000050"})
    assert (reply.status_code, reply.json()["code"]) == (400, "BAD_REQUEST")


def test_a_deleted_unit_is_gone_everywhere(fresh):
    serial = "STB4K-000060"
    runs = [run.id for run in fresh.history.units[serial].runs]
    before = len(fresh.history.runs)
    assert fresh.v2.delete("/units", params={"serial_numbers": serial}).status_code == 200
    assert fresh.v2.get(f"/units/{serial}").status_code == 404
    assert fresh.v1.get("/runs", params={"serial_number": serial}).status_code == 404
    assert [fresh.v2.get(f"/runs/{run}").status_code for run in runs] == [404] * len(runs)
    assert fresh.drain("/runs", serial_numbers=serial) == []
    assert fresh.drain("/measurements", procedure_id=fresh.procedure_id, serial_numbers=serial) == []
    assert serial not in {u["serial_number"] for u in fresh.v2.get("/batches/LOT-2601").json()["units"]}
    assert fresh.v2.get("/units/PSU12-000060").json()["parent"] is None
    assert len(fresh.history.runs) == before - len(runs)


def test_deleting_names_what_is_unknown_and_deletes_nothing(fresh):
    reply = fresh.v2.delete("/units", params={"serial_numbers": ["STB4K-000061", "NOBODY"]})
    assert (reply.status_code, "NOBODY" in reply.json()["message"]) == (404, True)
    assert fresh.v2.get("/units/STB4K-000061").status_code == 200
    known = fresh.create()
    reply = fresh.v2.delete("/runs", params={"ids": [known, "00000000-0000-4000-8000-000000000000"]})
    assert reply.status_code == 404
    assert fresh.run(known)["id"] == known


@pytest.mark.parametrize("path", ["/runs", "/units"])
def test_deleting_nothing_is_a_400(fresh, path):
    assert fresh.v2.delete(path).status_code == 400
