"""What is said to be missing is missing in the span that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from testlab_mcp.config.loading import parse_config
from testlab_tools.archive.reading import Scope
from testlab_tools.capabilities import HistoryFeed
from tests.fixture_types import Connect, ToolCaller
from tests.server.archive.conftest import Upstream

pytestmark = pytest.mark.usefixtures("no_backoff")
HURRIED = "[server]\nlongest_wait_seconds = 6\ntoolsets = ['all']\n"


async def sync(config: str, seconds: float | None) -> None:
    """Read TofuPilot's history ahead."""
    lab = parse_config(config).lab()
    feed = lab.services["factory"]
    assert isinstance(feed, HistoryFeed)
    assert lab.archive is not None
    await lab.archive.sync(feed, Scope(), seconds)
    await lab.aclose()


def share_of(answer: dict[str, Any]) -> dict[str, Any]:
    (share,) = answer["services"]
    return share


async def test_a_span_that_is_held_whole_is_not_partial_while_older_runs_are_still_read(
    config: Callable[..., str], connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    upstream.fault("tofupilot", action="hold", path_prefix="/api/v2/phases", times=0)
    await sync(config(), seconds=2)
    asked = {"service": "factory", "metric": "runs"}
    async with connect(config() + HURRIED) as client:
        day = await ask(client, "summarize_runs", since="24h", **asked)
        year = await ask(client, "summarize_runs", since="365d", **asked)
        first = await ask(client, "summarize_runs", since="24h", service="factory", metric="first_pass_yield")
    assert "partial" not in share_of(day)
    assert "More is read" not in share_of(day).get("note", "")
    assert share_of(year)["partial"]
    assert "More is read with each call" in share_of(year)["note"]
    assert "partial" not in share_of(first)
    assert "A unit's first run may be older than what is held of factory." in first["note"]


async def test_runs_whose_failed_cases_were_not_read_are_said_though_every_run_is_held(
    config: Callable[..., str], connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    await sync(config(), seconds=None)
    upstream.fault("tofupilot", action="status", status=404, path_prefix="/api/v2/phases", times=0)
    procedure = upstream.factory("GET", "procedures")["data"][0]["id"]
    times = {"started_at": "2026-11-01T00:00:00Z", "ended_at": "2026-11-01T00:01:00Z"}
    new = {"procedure_id": procedure, "serial_number": "NEW-1", "part_number": "PCB01", "outcome": "FAIL", **times}
    upstream.factory("POST", "runs", json=new)
    async with connect(config() + HURRIED) as client:
        found = await ask(client, "summarize_runs", service="factory", metric="failures", since="365d")
    assert "partial" not in share_of(found)
    assert "Of 1 runs that failed, the failed cases are not read yet." in share_of(found)["note"]


async def test_measurements_that_were_not_read_in_time_are_said_to_be_missing(
    config: Callable[..., str], connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    await sync(config(), seconds=None)
    upstream.fault("tofupilot", action="hold", path_prefix="/api/v2/measurements", times=0)
    asked = {"test": "Main board FCT", "measurement": "rail_5v", "since": "365d"}
    async with connect(config() + HURRIED) as client:
        held = await ask(client, "measurement_stats", **asked)
        assert held["n"] == 0
        assert share_of(held)["partial"]
        assert "More is read" in share_of(held)["note"]
