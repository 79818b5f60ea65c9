"""What tools answer from history is what they answer without it, with fewer requests."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from testlab_mcp.config.loading import parse_config
from testlab_sim.production.effects import GAPS, OUT_OF_ORDER
from testlab_tools.archive.reading import Scope
from testlab_tools.capabilities import HistoryFeed
from tests.fixture_types import Connect, ToolCaller
from tests.server.archive.conftest import Upstream


@pytest.fixture
async def filled(config: Callable[..., str]) -> str:
    """A config whose archive holds everything."""
    lab = parse_config(config()).lab()
    assert lab.archive is not None
    for feed in lab.services.values():
        assert isinstance(feed, HistoryFeed)
        assert (await lab.archive.sync(feed, Scope())).error is None
    await lab.aclose()
    return config()


def span(upstream: Upstream) -> dict[str, str]:
    """Four weeks up to hours before the newest run that StandCloud has: nothing still happens there."""
    newest = max(row["start_time"] for row in upstream.cloud())
    until = datetime.fromisoformat(f"{newest[:10]}T00:00:00+00:00")
    return {"since": (until - timedelta(days=27)).isoformat(), "until": until.isoformat()}


async def test_triage_is_the_same_with_and_without_history(
    filled: str, config: Callable[..., str], connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    asked = {**span(upstream), "limit": 50}
    async with connect(config(enabled="false")) as client:
        upstream.requests()
        without = await ask(client, "triage", **asked)
        before = upstream.requests()
    async with connect(filled) as client:
        with_history = await ask(client, "triage", **asked)
        after = upstream.requests()
    assert _without_cursor(with_history) == _without_cursor(without)
    assert after == {"tofupilot": 1, "stbtester": 1, "standcloud": 1}
    assert before.total() > 10 * after.total()


async def test_filters_that_history_cannot_apply_are_left_to_the_service(
    filled: str, config: Callable[..., str], connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    for given in ({"test": "epg"}, {"category": "nightly"}, {"service": "factory", "test": "Main board FCT"}):
        asked = {**span(upstream), **given}
        async with connect(config(enabled="false")) as client:
            without = await ask(client, "triage", **asked)
        async with connect(filled) as client:
            assert _without_cursor(await ask(client, "triage", **asked)) == _without_cursor(without), given


async def test_an_explanation_is_the_same_with_fewer_requests(
    filled: str, config: Callable[..., str], connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    async with connect(config(enabled="false")) as client:
        causes = await ask(client, "triage", **span(upstream), limit=50)
        found = dict(re.findall(r"'((portal|factory|cloud):[^']+)'", str(causes)))
        ids = {service: run_id for run_id, service in found.items()}
        assert len(ids) == 3
        upstream.requests()
        without = {run_id: await ask(client, "explain_failure", run_id=run_id) for run_id in ids.values()}
        before = upstream.requests().total()
    async with connect(filled) as client:
        for run_id, answer in without.items():
            assert await ask(client, "explain_failure", run_id=run_id) == answer
        assert upstream.requests().total() < before


async def test_a_unit_is_the_same_beside_its_peers_with_fewer_requests(
    filled: str, config: Callable[..., str], connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    units = ["STB4K-000300", "STB4K-001000", next(iter(GAPS)), next(iter(OUT_OF_ORDER))]
    async with connect(config(enabled="false")) as client:
        upstream.requests()
        without = {unit: await ask(client, "get_unit", serial_number=unit) for unit in units}
        before = upstream.requests()
    async with connect(filled) as client:
        for unit, answer in without.items():
            assert await ask(client, "get_unit", serial_number=unit) == answer
            assert answer["compared_with"]["units"] > 20
        after = upstream.requests()
    assert before["tofupilot"] > 1.3 * after["tofupilot"]
    assert before["standcloud"] > 3 * after["standcloud"], (before, after)


async def test_a_service_that_refuses_the_token_gives_nothing_from_history(
    filled: str, connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    upstream.fault("tofupilot", action="status", status=401, times=0)
    async with connect(filled) as client:
        answer = await ask(client, "triage", **span(upstream))
    assert "does not accept the token" in str(answer)
    assert "factory:" not in str(answer)


def _without_cursor(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "cursor"}


async def test_a_service_without_a_token_does_not_hide_the_others(
    config: Callable[..., str], connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    token = upstream.services["standcloud"]["token"]
    before, cloud, after = config().partition("[services.cloud]")
    text = before + cloud + after.replace(f'token = "{token}"', 'token_env = "TESTLAB_NO_SUCH_TOKEN"')
    async with connect(text) as client:
        answer = await ask(client, "triage", since="24h")
    errors = {one["service"]: one.get("error", "") for one in answer["services"]}
    assert "TESTLAB_NO_SUCH_TOKEN" in errors.pop("cloud")
    assert errors == {"portal": "", "factory": ""}


async def test_what_is_deleted_here_is_gone_from_the_next_answer(
    filled: str, connect: Connect, ask: ToolCaller, upstream: Upstream
) -> None:
    async with connect(f"{filled}[server]\naccess = 'admin'\ntoolsets = ['all']\n") as client:
        asked = {"metric": "runs", "service": "factory", "outcome": "fail"}
        before = (await ask(client, "summarize_runs", **asked))["total"]["runs"]
        run = (await ask(client, "list_runs", service="factory", outcome="fail", limit=1))["runs"][0]["run_id"]
        await ask(client, "delete_run", run_id=run, confirm=run)
        assert (await ask(client, "summarize_runs", **asked))["total"]["runs"] == before - 1
