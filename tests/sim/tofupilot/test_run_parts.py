"""v2 phases, measurements and logs."""

from __future__ import annotations

from itertools import groupby

import pytest

from testlab_sim.production import effects as fx


@pytest.mark.parametrize("path", ["/phases", "/measurements"])
def test_a_procedure_is_required(tofupilot, path):
    reply = tofupilot.v2.get(path)
    assert (reply.status_code, reply.json()["issues"][0]["path"]) == (400, ["procedure_id"])


def test_one_measurement_is_told_run_by_run(tofupilot):
    rows = tofupilot.drain(
        "/measurements",
        procedure_id=tofupilot.procedure_id,
        measurement_name="rail_5v",
        outcomes="FAIL",
    )
    runs = [run for run in tofupilot.history.runs if run.procedure.short == "FVT1" and run.outcome == "FAIL"]
    assert {row["run_id"]: row["value"] for row in rows} == {run.id: run.story[2] for run in runs}
    assert len(rows) == len(runs) > 100
    assert all(row["measurement_type"] == "numeric" and row["units"] == "V" for row in rows)


def test_retried_attempts_are_left_out_on_demand(tofupilot):
    query = {"procedure_id": tofupilot.procedure_id, "names": "flash_firmware", "run_outcomes": "FAIL"}
    every = tofupilot.drain("/phases", **query)
    last = tofupilot.drain("/phases", exclude_retries="true", **query)
    assert len(every) > len(last)
    assert {p["run_id"] for p in every} == {p["run_id"] for p in last}
    for _, attempts in groupby(every, key=lambda p: p["run_id"]):
        listed = list(attempts)
        assert [p["retry_count"] for p in listed] == list(range(len(listed))) or len(listed) == 1
        assert [p["is_final_attempt"] for p in listed] == [False] * (len(listed) - 1) + [True]
        assert len(listed) <= fx.FLASH_ATTEMPTS


def test_failed_measurements_lie_beyond_a_limit(tofupilot):
    rows = tofupilot.drain(
        "/measurements",
        procedure_id=tofupilot.procedure_id,
        measurement_outcomes="FAIL",
    )
    numeric = [row for row in rows if row["measurement_type"] == "numeric"]
    assert numeric
    for row in numeric:
        limits = {v["operator"]: v["expected_value"] for v in row["validators"]}
        assert row["value"] < limits.get(">=", row["value"]) or row["value"] > limits.get("<=", row["value"])


def test_error_logs_name_the_instrument_of_the_bad_station(tofupilot):
    station = next(s for s in tofupilot.history.stations.values() if s.name == fx.BAD_STATION)
    logs = tofupilot.drain("/logs", levels="ERROR", run_outcomes="ERROR", created_by_station_ids=station.id)
    errors = [r for r in tofupilot.history.runs if r.station is station and r.outcome == "ERROR"]
    assert len(logs) == len(errors) > 10
    assert {log["message"] for log in logs} == {"RuntimeError: DMM not responding on GPIB0::22"}
    assert {log["run"]["id"] for log in logs} == {run.id for run in errors}


def test_a_file_of_the_history_is_fetched_through_its_link(tofupilot):
    run = next(r for r in tofupilot.history.runs if r.procedure.short == "EMC1" and r.outcome == "PASS")
    file = tofupilot.run(run.id)["attachments"][0]
    reply = tofupilot.anyone.get(file["download_url"])
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/csv")
    assert len(reply.content) == file["size"]
    assert reply.text.startswith("frequency_mhz,level_dbuv\n")
