"""History of a StandCloud: runs that end later, stands whose clock is ahead, and what is not held."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.standcloud.adapter import StandCloud
from testlab_tools.archive.archive import HistoryArchive, key_of
from testlab_tools.archive.known_runs import KnownRuns, use_history
from testlab_tools.archive.reading import Scope
from testlab_tools.lab import Lab
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.tools.adapters.standcloud.conftest import Server

NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=60)
Rows = Callable[..., dict[str, Any]]


@pytest.fixture
def begun(row_of: Rows) -> Callable[..., dict[str, Any]]:
    """A run that began some time before now."""

    def made(number: int, ago: timedelta, **told: Any) -> dict[str, Any]:
        start = NOW - ago
        ended = {"start_time": start.isoformat(), "finish_time": (start + timedelta(seconds=50)).isoformat()}
        return row_of(number, **{"status": "pass", **ended, **told})

    return made


@pytest.fixture
def lab(stand_cloud: Callable[..., StandCloud], tmp_path: Path) -> Callable[[Server], Lab]:
    """One StandCloud with an archive."""
    return lambda server: Lab([stand_cloud(server)], archive=HistoryArchive(tmp_path / "archive"))


async def sync(lab: Lab, **scope: Any) -> int:
    """Read what is missing; how many runs were added."""
    assert lab.archive is not None
    synced = await lab.archive.sync(feed_of(lab), Scope(**scope))
    assert synced.error is None
    return synced.added


def feed_of(lab: Lab) -> StandCloud:
    service = lab.services["portal"]
    assert isinstance(service, StandCloud)
    return service


async def known(lab: Lab) -> KnownRuns:
    (service,) = await use_history(lab, [feed_of(lab)], LONG_AGO, 5)
    assert isinstance(service, KnownRuns)
    return service


@pytest.mark.parametrize(
    "query",
    [
        RunQuery(part="PSU"),
        RunQuery(part="PSU", until=NOW - timedelta(hours=2)),
        RunQuery(part="PSU", since=NOW - timedelta(days=4), oldest_first=True),
        RunQuery(unit="SN-00003"),
        RunQuery(test="FCT", outcome="pass"),
    ],
)
async def test_runs_are_listed_from_history_as_the_service_lists_them_those_that_have_not_ended_among_them(
    query: RunQuery, lab: Callable[[Server], Lab], server_of: Callable[..., Server], begun: Rows
) -> None:
    rows = [begun(n, timedelta(hours=n), number_of_attempt=n % 3 + 1) for n in range(1, 300)]
    rows[1] |= {"status": "run", "finish_time": None, "duration": None}
    rows[70] |= {"status": "run", "finish_time": None, "duration": None}
    server = server_of(rows)
    made = lab(server)
    await sync(made)
    service = await known(made)
    server.asked.clear()
    found = await service.list_runs(query, 120)
    assert not server.asked
    expected = await feed_of(made).list_runs(query, 120)
    assert [run.model_dump(exclude={"position"}) for run in found.runs] == [
        run.model_dump(exclude={"position"}) for run in expected.runs
    ]
    assert found.more == expected.more


async def test_a_run_that_ends_after_days_is_taken_at_the_next_question(
    lab: Callable[[Server], Lab], server_of: Callable[..., Server], begun: Rows
) -> None:
    rows = [begun(n, timedelta(minutes=10 * n)) for n in range(1, 600)]
    burning = rows[500]
    burning |= {"status": "run"}
    server = server_of(rows)
    made = lab(server)
    assert await sync(made) == 598
    assert await sync(made) == 0
    burning["status"] = "stop"
    assert await sync(made) == 1
    service = await known(made)
    (run,) = (await service.list_runs(RunQuery(unit=burning["serial_number"]), 5)).runs
    assert run.outcome == "stopped"


async def test_where_a_run_has_been_running_for_long_the_service_is_asked(
    lab: Callable[[Server], Lab], server_of: Callable[..., Server], begun: Rows
) -> None:
    rows = [begun(1, timedelta(hours=1)), begun(2, timedelta(days=30), status="run")]
    server = server_of(rows)
    made = lab(server)
    await sync(made)
    rows[1]["status"] = "fail"
    service = await known(made)
    server.asked.clear()
    assert [run.outcome for run in (await service.list_runs(RunQuery(part="PSU"), 5)).runs] == ["pass", "fail"]
    assert server.asked


async def test_a_stand_whose_clock_is_ahead_hides_no_later_run(
    lab: Callable[[Server], Lab], server_of: Callable[..., Server], begun: Rows
) -> None:
    rows = [begun(n, timedelta(days=40, minutes=n)) for n in range(400, 700)]
    ahead = begun(1, timedelta(days=-700))
    server = server_of([ahead, *rows])
    made = lab(server)
    assert await sync(made) == 301
    assert made.archive is not None
    state, _ = await made.archive.read_state(feed_of(made))
    assert state.last == datetime.fromisoformat(ahead["start_time"])
    server.rows = [ahead, *(begun(n, timedelta(seconds=n)) for n in range(2, 390)), *rows]
    assert await sync(made) == 388


async def test_what_is_kept_for_fewer_days_does_not_answer_for_more(
    lab: Callable[[Server], Lab], server_of: Callable[..., Server], begun: Rows
) -> None:
    made = lab(server_of([begun(n, timedelta(days=n)) for n in range(1, 50)]))
    assert made.archive is not None
    made.archive.max_age_days = 20
    await sync(made)
    held = await made.archive.refresh(feed_of(made), Scope(), None)
    assert held.covers(NOW - timedelta(days=19))
    assert not held.covers(NOW - timedelta(days=30))
    assert await use_history(made, [feed_of(made)], NOW - timedelta(days=30), 5) == [feed_of(made)]
    made.archive.max_age_days = 0
    assert await sync(made) == 49 - held.runs
    assert (await made.archive.refresh(feed_of(made), Scope(), None)).covers(None)


async def test_a_list_is_answered_as_far_as_history_reaches_and_no_further(
    lab: Callable[[Server], Lab], server_of: Callable[..., Server], begun: Rows
) -> None:
    server = server_of([begun(n, timedelta(days=n)) for n in range(1, 60)])
    made = lab(server)
    assert made.archive is not None
    made.archive.max_age_days = 40
    await sync(made)
    (service,) = await use_history(made, [feed_of(made)], NOW - timedelta(days=30), 5)
    for limit, from_history in ((30, True), (50, False)):
        server.asked.clear()
        assert len((await service.list_runs(RunQuery(part="PSU"), limit)).runs) == limit
        assert (not server.asked) == from_history


async def test_a_history_of_an_older_version_is_read_anew(
    lab: Callable[[Server], Lab], server_of: Callable[..., Server], begun: Rows
) -> None:
    made = lab(server_of([begun(n, timedelta(days=n)) for n in range(1, 9)]))
    assert made.archive is not None
    await sync(made)
    manifest = made.archive.store.folder_of(await key_of(feed_of(made))) / "manifest.json"  # type: ignore[attr-defined]
    manifest.write_text(manifest.read_text().replace('"version": 2', '"version": 1'))
    assert await sync(made) == 8
