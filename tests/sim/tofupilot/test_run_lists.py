"""`GET /v2/runs`: pages and filters, checked against the history itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _ids(runs) -> set[str]:
    return {run.id for run in runs}


def test_pages_visit_every_run_once_newest_first(tofupilot):
    rows = tofupilot.drain("/runs")
    assert len(rows) == len(tofupilot.history.runs)
    assert {row["id"] for row in rows} == _ids(tofupilot.history.runs)
    started = [row["started_at"] for row in rows]
    assert started == sorted(started, reverse=True)


def test_a_page_holds_fifty_unless_told_and_never_more_than_a_hundred(tofupilot):
    assert len(tofupilot.v2.get("/runs").json()["data"]) == 50
    too_many = tofupilot.v2.get("/runs", params={"limit": 101})
    assert (too_many.status_code, too_many.json()["issues"][0]["path"]) == (400, ["limit"])


FILTERS = [
    ({"part_numbers": "PSU-12"}, lambda r: False),
    ({"outcomes": ["ERROR", "TIMEOUT"]}, lambda r: r.outcome in ("ERROR", "TIMEOUT")),
    ({"serial_numbers": ["stb4k-000010", "STB4K-000011"]}, lambda r: r.unit.serial in ("STB4K-000010", "STB4K-000011")),
    ({"search_query": "g00001"}, lambda r: r.unit.serial == "STB4K-G00001"),
]


@pytest.mark.parametrize(("params", "meets"), FILTERS, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_a_filter_keeps_exactly_what_it_says(tofupilot, params, meets):
    rows = tofupilot.drain("/runs", **params)
    assert {row["id"] for row in rows} == _ids(run for run in tofupilot.history.runs if meets(run))


def test_runs_of_a_station_in_a_window_of_time(tofupilot):
    station = next(s for s in tofupilot.history.stations.values() if s.name == "FVT-03")
    middle = tofupilot.history.runs[len(tofupilot.history.runs) // 2].started
    window = {"started_after": _iso(middle), "started_before": _iso(middle + 86400)}
    rows = tofupilot.drain("/runs", created_by_station_ids=station.id, **window)
    expected = _ids(r for r in station_runs(tofupilot, station) if middle <= r.started <= middle + 86400)
    assert expected
    assert {row["id"] for row in rows} == expected


def station_runs(tofupilot, station):
    return [run for run in tofupilot.history.runs if run.station is station]


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"outcomes": "pass"}, "outcomes"),
        ({"started_after": "yesterday"}, "started_after"),
        ({"cursor": "-1"}, "cursor"),
        ({"sort_by": "colour"}, "sort_by"),
    ],
)
def test_a_filter_that_cannot_be_read_is_a_400_that_names_it(tofupilot, params, key):
    reply = tofupilot.v2.get("/runs", params=params)
    assert (reply.status_code, reply.json()["issues"][0]["path"]) == (400, [key])


def test_runs_are_listed_from_either_end(tofupilot):
    oldest = tofupilot.v2.get("/runs", params={"sort_order": "asc", "limit": 3}).json()["data"]
    assert [row["id"] for row in oldest] == [run.id for run in tofupilot.history.runs[:3]]


def test_an_unknown_run_is_404_and_a_malformed_id_400(tofupilot):
    unknown = tofupilot.v2.get("/runs/00000000-0000-4000-8000-000000000000")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND")
    malformed = tofupilot.v2.get("/runs/17")
    assert (malformed.status_code, malformed.json()["code"]) == (400, "BAD_REQUEST")
