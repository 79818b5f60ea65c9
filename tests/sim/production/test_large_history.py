"""A history of any size: the same plant, made run by run; what was changed stays changed."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import fmean, linear_regression
from typing import Any

import httpx2
import pytest

from testlab_sim.__main__ import main
from testlab_sim.production import effects as fx
from testlab_sim.production import large
from testlab_sim.production.history import History
from testlab_sim.stbtester.portal import Portal
from testlab_sim.world import YOU, Clock, World, iso

RUNS = 30_000
NOW = 1795240000.0
DAY = 86400.0


@pytest.fixture(scope="module")
def history() -> History:
    return History.seeded(7, NOW, RUNS)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> History:
    """A smaller one, to be changed, that holds three units beside those that were changed."""
    monkeypatch.setattr(large, "_MAX_MADE", 3)
    return History.seeded(7, time.time(), 2_000)


class Services:
    """TofuPilot and StandCloud of one history."""

    def __init__(self, v2: httpx2.Client, cloud: httpx2.Client) -> None:
        v2.headers["Authorization"] = cloud.headers["Authorization"] = f"Bearer {YOU.token}"
        self.v2, self.cloud = v2, cloud

    def drain(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        cursor: int | None = 0
        while cursor is not None:
            body = self.v2.get(path, params={"limit": 100, "cursor": cursor, **params}).json()
            yield from body["data"]
            cursor = body["meta"]["next_cursor"]

    def rows(self, **params: Any) -> list[dict[str, Any]]:
        return self.cloud.get("/test_run", params=params).json()


@pytest.fixture
def open_services(serve: Callable[[World], Any]) -> Callable[[History], Services]:
    def put(history: History) -> Services:
        clock = Clock()
        lab = serve(World(Portal.seeded(7, clock), history, clock))
        return Services(lab.client("/tofupilot/api/v2"), lab.client("/standcloud/integration/api/v1"))

    return put


def test_it_has_about_as_many_runs_as_asked_for_in_order(history: History) -> None:
    assert len(history.runs) + len(history.stands.rows) == pytest.approx(RUNS, rel=0.01)
    starts = [run.started for run in history.runs]
    assert starts == sorted(starts)
    assert max(run.created for run in history.runs[-500:]) < NOW
    assert len({run.number for run in history.runs}) == len(history.runs)
    rows = [row.started for row in history.stands.rows]
    assert rows == sorted(rows)


def test_each_run_and_row_is_found_by_its_id(history: History) -> None:
    for run in history.runs[::97]:
        found = history.find_run(run.id)
        assert found
        assert (found.number, found.started, found.story) == (run.number, run.started, run.story)
        unit = history.find_unit(found.unit.serial.lower())
        assert unit
        assert found.number in {other.number for other in unit.runs}
    for row in history.stands.rows[::97]:
        same = history.stands.find(row.id)
        assert same
        assert (same.number, same.started, same.cause) == (row.number, row.started, row.cause)
    assert history.find_unit("STB4K-999999") is None
    assert history.find_unit("STB4K-000000") is None


def test_what_was_made_once_is_made_alike_again(forgetful: History) -> None:
    def tell() -> list[object]:
        runs = [(r.id, r.unit.serial, r.outcome, r.story, history.detail(r).phases) for r in history.runs[::37]]
        return [*runs, *((row.id, row.cause, row.started) for row in history.stands.rows[::37])]

    history = forgetful
    first = tell()
    assert first == tell()
    again = History.seeded(8, NOW, 2_000)
    assert [r.story for r in again.runs[:50]] != [r.story for r in history.runs[:50]]


def test_what_is_planted_is_in_it(history: History) -> None:
    start = NOW - fx.DAYS * DAY
    late = [run for run in history.runs if run.started > start + fx.BAD_STATION_DAY * DAY and not run.unit.sample]
    shares = {
        station: fmean(run.outcome == "ERROR" for run in late if run.station and run.station.name == station)
        for station in ("FVT-01", "FVT-02", "FVT-03")
    }
    assert shares["FVT-03"] > 0.06
    assert max(shares["FVT-01"], shares["FVT-02"]) < 0.02
    first: dict[str, Any] = {}
    for run in history.runs:
        if run.procedure.short == "FVT1" and not run.unit.sample and run.outcome in ("PASS", "FAIL"):
            first.setdefault(run.unit.serial, run)
    days, values = zip(*(((run.started - start) / DAY, run.story[2]) for run in first.values()), strict=True)
    drifting = linear_regression(days, values)
    assert drifting.slope == pytest.approx(fx.RAIL_SLOPE, rel=0.1)
    eol = [
        (run.unit.batch.name, run.outcome) for run in history.runs if run.procedure.short == "EOL1" and run.unit.batch
    ]
    bad = fmean(outcome == "FAIL" for batch, outcome in eol if batch == fx.BAD_BATCH)
    assert bad > 2 * fmean(outcome == "FAIL" for batch, outcome in eol if batch != fx.BAD_BATCH)
    assert len(history.batches) == 20
    assert {run.unit.sample for run in history.runs if run.unit.sample} == {"golden", "failing", "ignored"}


def test_each_run_more_costs_less_than_fifty_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "_MAX_MADE", 3)

    def measure(runs: int) -> int:
        tracemalloc.start()
        kept = History.seeded(7, NOW, runs)
        gc.collect()  # what is left over in circles is not kept
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept.runs
        return size

    assert measure(16_000) - measure(10_000) < 50 * 6_000


def test_its_lists_page_through_all_of_it(history: History, open_services: Callable[[History], Services]) -> None:
    services = open_services(history)
    ids = [row["id"] for row in services.drain("/runs")]
    assert ids == [run.id for run in reversed(history.runs)]
    assert len(services.rows()) == len(history.stands.rows)
    paged = services.rows(limit=500, offset=4_000)
    assert [row["test_run_id"] for row in paged] == [row.id for row in history.stands.rows[::-1][4_000:4_500]]
    last = services.v2.get("/units", params={"cursor": len(history.units) - 2, "sort_order": "asc"}).json()
    assert [row["serial_number"] for row in last["data"]] == [unit.serial for unit in history.units_by_creation()[-2:]]
    assert last["meta"]["next_cursor"] is None


def test_its_filters_leave_what_filters_of_every_run_leave(
    history: History, open_services: Callable[[History], Services]
) -> None:
    services = open_services(history)
    station = next(s for s in history.stations.values() if s.name == "FVT-03")
    runs = [run for run in history.runs if run.station is station and run.outcome == "ERROR"]
    asked = {"outcomes": "ERROR", "created_by_station_ids": station.id}
    assert [row["id"] for row in services.drain("/runs", **asked)] == [run.id for run in reversed(runs)]
    since = {"started_after": runs[9].started, "started_before": runs[19].started}
    stamps = {key: iso(at) for key, at in since.items()}
    assert {row["id"] for row in services.drain("/runs", **asked, **stamps)} == {run.id for run in runs[9:20]}
    since = {"created_after": iso(runs[9].created), "sort_by": "created_at", "sort_order": "asc"}
    late = sorted((run for run in history.runs if run.created >= runs[9].created), key=lambda run: run.created)
    assert [row["id"] for row in islice(services.drain("/runs", **since), 300)] == [run.id for run in late][:300]
    failed = [row.id for row in history.stands.rows if row.status == "fail" and row.stand.hw_id == "TS-PSU-01"]
    found = services.rows(status="fail", test_stand_hw_id="TS-PSU-01")
    assert [row["test_run_id"] for row in found] == failed[::-1]
    own = [row.id for row in history.stands.rows if row.serial == "PSU12-000100"]
    assert [row["test_run_id"] for row in services.rows(serial_number="psu12-000100")] == own[::-1]
    batches = {row["number"]: row["unit_count"] for row in services.drain("/batches")}
    assert sum(batches.values()) == (len(history.units) - 3) // 2


def test_what_is_changed_stays_changed_when_all_else_was_made_again(
    forgetful: History, open_services: Callable[[History], Services]
) -> None:
    history, services = forgetful, open_services(forgetful)
    v2 = services.v2
    keeps, loses = (unit.serial for unit in (history.units["STB4K-000100"], history.units["STB4K-000200"]))
    runs = {serial: [run.id for run in history.units[serial].runs] for serial in (keeps, loses)}
    count = len(history.runs)
    procedure = next(iter(history.procedures))
    new = {"outcome": "PASS", "procedure_id": procedure, "serial_number": keeps, "part_number": "STB-4K"}
    times = {"started_at": "2026-03-01T08:00:00Z", "ended_at": "2026-03-01T08:01:30Z"}
    added = v2.post("/runs", json=new | times).raise_for_status().json()["id"]
    v2.patch(f"/units/{keeps}", json={"sample": "golden"}).raise_for_status()
    v2.delete("/runs", params={"ids": runs[keeps][0]}).raise_for_status()
    v2.delete("/units", params={"serial_numbers": loses}).raise_for_status()
    v2.post("/runs", json=new | times | {"serial_number": "NEW-1"}).raise_for_status()
    v2.delete(f"/units/{keeps}/children", params={"child_serial_number": "PSU12-000100"}).raise_for_status()
    assert [*services.drain("/runs")]
    seen = {row["id"] for row in services.drain("/runs")}
    assert len(seen) == len(history.runs) == count + 2 - 1 - len(runs[loses])
    assert added in seen
    assert not seen & {runs[keeps][0], *runs[loses]}
    assert v2.get(f"/runs/{runs[keeps][0]}").status_code == 404
    assert v2.get(f"/units/{loses}").status_code == 404
    assert v2.get(f"/units/{keeps}").json()["sample"] == "golden"
    assert {row["id"] for row in services.drain("/runs", serial_numbers=keeps)} == {added, *runs[keeps][1:]}
    assert {row["serial_number"] for row in services.drain("/units")} >= {keeps, "NEW-1", "PSU12-000200"}
    assert loses not in {row["serial_number"] for row in services.drain("/units")}
    assert v2.get("/units/PSU12-000100").json()["parent"] is None


@pytest.mark.parametrize("given", ["999", "2000001", "many"])
def test_a_count_that_cannot_be_is_a_usage_error(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--runs", given])
    assert ended.value.code == 2
    assert "from 1000 to 2000000" in capsys.readouterr().err
