"""History is read once, kept up with, and never lost or mixed up."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from testlab_mcp.access.callers import Caller
from testlab_mcp.access.scoping import scope_service
from testlab_mcp.access.service_scope import OwnershipRegistry
from testlab_mcp.config.loading import parse_config
from testlab_tools.archive.archive import HistoryArchive, key_of
from testlab_tools.archive.reading import Scope
from testlab_tools.archive.sync import Synced
from testlab_tools.capabilities import HistoryFeed, Service
from testlab_tools.errors import AuthError, BadReply, LabError, Refused, ServiceDown
from testlab_tools.lab import Lab
from testlab_tools.times import iso
from tests.server.archive.conftest import Upstream
from tests.server_processes import server_command

pytestmark = pytest.mark.usefixtures("no_backoff")


def archive_of(lab: Lab) -> HistoryArchive:
    """The lab's archive."""
    assert lab.archive is not None
    return lab.archive


def feed_of(lab: Lab, name: str) -> HistoryFeed:
    """A service that tells its history."""
    feed: Service = lab.services[name]
    assert isinstance(feed, HistoryFeed)
    return feed


async def sync(lab: Lab, name: str, seconds: float | None = None, **scope: Any) -> Synced:
    """Read what is missing of one service."""
    return await archive_of(lab).sync(feed_of(lab, name), Scope(**scope), seconds)


async def rows(lab: Lab, name: str, sql: str, **params: object) -> list[tuple[Any, ...]]:
    """What the archive holds of a service."""
    return await archive_of(lab).store.view([await key_of(feed_of(lab, name))]).rows(sql, params)


async def count(lab: Lab, name: str, table: str = "runs") -> tuple[int, int]:
    """Rows of a table, and of how many runs."""
    ((total, runs),) = await rows(lab, name, f"SELECT count(*), count(DISTINCT run_id) FROM {table}")
    return total, runs


def record(upstream: Upstream, started: datetime, outcome: str = "PASS") -> str:
    """A run that TofuPilot gets now."""
    procedure = upstream.factory("GET", "procedures")["data"][0]["id"]
    return upstream.factory(
        "POST",
        "runs",
        json={
            "procedure_id": procedure,
            "serial_number": "LATE-0001",
            "part_number": "PCB01",
            "outcome": outcome,
            "started_at": iso(started),
            "ended_at": iso(started + timedelta(minutes=1)),
        },
    )["id"]


async def test_all_runs_of_every_service_are_read_once(lab: Lab, upstream: Upstream) -> None:
    procedures = upstream.factory("GET", "procedures")["data"]
    expected = {
        "factory": sum(upstream.factory("GET", f"procedures/{one['id']}")["runs_count"] for one in procedures),
        "cloud": len(upstream.cloud()),
    }
    for name, runs in expected.items():
        synced = await sync(lab, name)
        assert (synced.error, synced.state.complete, synced.state.unread) == (None, True, 0)
        assert await count(lab, name) == (runs, runs)
        ended = {"factory": "'fail', 'error', 'timeout', 'aborted'", "cloud": "'fail'"}[name]
        ((failed,),) = await rows(lab, name, f"SELECT count(*) FROM runs WHERE ended_as IN ({ended})")
        assert (await count(lab, name, "failures"))[1] == failed > 0


async def test_results_of_stb_tester_are_read_beyond_its_limit_of_2000(lab: Lab, upstream: Upstream) -> None:
    await sync(lab, "portal")
    total, runs = await count(lab, "portal")
    assert total == runs > 2_000
    newest = upstream.portal("results", tz="UTC")
    oldest_first = upstream.portal("results", sort="date:asc", tz="UTC")
    for row in (*newest, *oldest_first):
        assert datetime.fromisoformat(row["start_time"])
    held = {run_id for (run_id,) in await rows(lab, "portal", "SELECT run_id FROM runs")}
    assert {f"portal:{row['result_id']}" for row in (*newest, *oldest_first)} <= held


@pytest.mark.parametrize("name", ["portal", "factory", "cloud"])
async def test_where_nothing_is_new_one_request_tells(lab: Lab, upstream: Upstream, name: str) -> None:
    await sync(lab, name)
    before = await count(lab, name)
    upstream.requests()
    synced = await sync(lab, name)
    assert sum(upstream.requests().values()) == 1
    assert (synced.added, synced.deleted, await count(lab, name)) == (0, 0, before)


async def test_a_run_that_comes_months_late_is_found_with_its_failure(lab: Lab, upstream: Upstream) -> None:
    await sync(lab, "factory")
    late = record(upstream, datetime.now(UTC) - timedelta(days=80), "FAIL")
    upstream.requests()
    synced = await sync(lab, "factory")
    assert synced.added == 1
    assert upstream.requests()["tofupilot"] <= 5
    failed = await rows(lab, "factory", "SELECT case_name FROM failures WHERE run_id = $id", id=f"factory:{late}")
    assert failed == [("",)]


async def test_a_run_deleted_upstream_goes_from_the_archive_once_counts_are_compared(
    lab: Lab, upstream: Upstream
) -> None:
    await sync(lab, "factory")
    before = (await count(lab, "factory"))[0]
    gone = upstream.factory("GET", "runs", params={"limit": 90, "outcomes": "FAIL"})["data"][-1]["id"]
    upstream.factory("DELETE", "runs", params={"ids": gone})
    upstream.requests()
    synced = await sync(lab, "factory", recheck=True)
    assert (synced.deleted, (await count(lab, "factory"))[0]) == (1, before - 1)
    assert upstream.requests()["tofupilot"] < 60, "it reads back no further than to what is gone"
    assert not await rows(lab, "factory", "SELECT 1 FROM failures WHERE run_id = $id", id=f"factory:{gone}")
    upstream.requests()
    await sync(lab, "factory", recheck=True)
    assert upstream.requests()["tofupilot"] == 5, "one list, the procedures and each of them"


async def test_what_time_does_not_suffice_for_is_read_by_the_next_call(lab: Lab, upstream: Upstream) -> None:
    upstream.fault("tofupilot", action="hold", path_prefix="/api/v2/phases", times=0)
    synced = await sync(lab, "factory", seconds=4)
    assert synced.out_of_time
    assert not synced.state.complete
    some = await count(lab, "factory")
    assert some == (1_000, 1_000)
    upstream.heal()
    assert (await sync(lab, "factory")).state.complete
    total, runs = await count(lab, "factory")
    assert total == runs > some[0]


async def test_an_outage_in_the_middle_leaves_what_was_read(lab: Lab, upstream: Upstream) -> None:
    upstream.fault("tofupilot", action="status", status=503, path_prefix="/api/v2/phases", times=0)
    synced = await sync(lab, "factory")
    assert isinstance(synced.error, ServiceDown)
    assert synced.state.unread > 0
    held = (await count(lab, "factory"))[0]
    assert held == 1_000
    upstream.heal()
    synced = await sync(lab, "factory")
    assert (synced.error, synced.state.unread) == (None, 0)
    total, runs = await count(lab, "factory")
    assert total == runs > held
    ((unread,),) = await rows(
        lab,
        "factory",
        "SELECT count(*) FROM runs AS r WHERE ended_as = 'fail' AND NOT EXISTS "
        "(SELECT 1 FROM failures AS f WHERE f.run_id = r.run_id)",
    )
    assert unread == 0


@pytest.mark.parametrize(
    ("name", "kind", "fault", "error"),
    [
        ("portal", "stbtester", {"action": "garbage"}, BadReply),
        (
            "factory",
            "tofupilot",
            {"action": "status", "status": 200, "body": "<html>", "media_type": "text/html"},
            BadReply,
        ),
        ("factory", "tofupilot", {"action": "missing-field", "field": "created_at"}, BadReply),
        ("cloud", "standcloud", {"action": "missing-field", "field": "test_run_id"}, BadReply),
        ("cloud", "standcloud", {"action": "status", "status": 401}, AuthError),
    ],
)
async def test_what_is_no_history_adds_nothing_and_takes_nothing_away(
    lab: Lab, upstream: Upstream, name: str, kind: str, fault: dict[str, Any], error: type[LabError]
) -> None:
    await sync(lab, name)
    before = await count(lab, name)
    upstream.fault(kind, times=0, **fault)
    synced = await sync(lab, name, recheck=True)
    assert isinstance(synced.error, error)
    assert (synced.deleted, await count(lab, name)) == (0, before)


async def test_measurements_of_one_name_are_read_when_asked_for_and_only_new_ones_later(
    lab: Lab, upstream: Upstream
) -> None:
    wanted = ("Main board FCT", "eth_link")
    await sync(lab, "factory", measured=[wanted])
    total, runs = await count(lab, "factory", "measurements")
    assert total == runs > 1_000
    assert await rows(lab, "factory", "SELECT DISTINCT test, name FROM measurements") == [wanted]
    ((apart,),) = await rows(
        lab,
        "factory",
        "SELECT count(*) FROM measurements AS m LEFT JOIN runs AS r ON r.run_id = m.run_id "
        "WHERE r.run_id IS NULL OR r.started_at <> m.started_at",
    )
    assert apart == 0
    upstream.requests()
    await sync(lab, "factory", measured=[wanted])
    assert upstream.requests()["tofupilot"] == 1
    assert await count(lab, "factory", "measurements") == (total, runs)


async def test_runs_older_than_the_config_says_are_not_kept(lab: Lab) -> None:
    archive_of(lab).max_age_days = 20
    synced = await sync(lab, "factory")
    ((oldest,),) = await rows(lab, "factory", "SELECT min(started_at) FROM runs")
    assert oldest.replace(tzinfo=UTC) >= datetime.now(UTC) - timedelta(days=20, minutes=5)
    assert synced.state.complete
    assert synced.state.cut_by_age


async def test_other_credentials_have_another_archive_and_no_token_is_written(
    lab: Lab, config: Callable[..., str], tmp_path: Path, upstream: Upstream
) -> None:
    await sync(lab, "cloud")
    other = parse_config(config()).connect_as("cloud", SecretStr("another-token"))
    assert isinstance(other, HistoryFeed)
    assert await key_of(other) != await key_of(feed_of(lab, "cloud"))
    assert not (await archive_of(lab).read_state(other))[0].rows["runs"]
    written = b"".join(path.read_bytes() for path in (tmp_path / "archive").rglob("*") if path.is_file())
    assert written
    assert upstream.services["standcloud"]["token"].encode() not in written


async def test_a_caller_of_some_nodes_has_an_archive_of_their_runs_alone(lab: Lab) -> None:
    await sync(lab, "portal")
    stations = [one for (one,) in await rows(lab, "portal", "SELECT DISTINCT station FROM runs ORDER BY station")]
    caller = Caller("erin", nodes=(stations[0],))
    feed = scope_service(feed_of(lab, "portal"), caller, OwnershipRegistry())
    assert isinstance(feed, HistoryFeed)
    synced = await archive_of(lab).sync(feed, Scope())
    view = archive_of(lab).store.view([await key_of(feed)])
    held = await view.rows("SELECT DISTINCT station FROM runs")
    assert (synced.error, held) == (None, [(stations[0],)])
    everything = scope_service(feed_of(lab, "portal"), Caller("frank"), OwnershipRegistry())
    assert isinstance(everything, HistoryFeed)
    assert await key_of(everything) == await key_of(feed_of(lab, "portal")) != await key_of(feed)
    (run,) = (await anext(feed_of(lab, "portal").read_back())).runs[:1]
    other = run._replace(station=stations[1])
    with pytest.raises(Refused):
        await feed.read_failures([other], {})


def test_two_processes_at_once_store_each_run_once(config: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(config(), encoding="utf-8")
    command = [*server_command(), "sync", "--config", str(path), "--service", "factory"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert len({line for out in told for line in out.splitlines() if "factory" in line and "MB" in line}) >= 1
