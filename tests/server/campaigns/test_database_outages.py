"""PostgreSQL goes away while a campaign runs, a watch waits, a caller stands in line and a message is due: each test
has one counted result, what waits goes on by itself, and calls meanwhile say what is wrong."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.postgresql import fresh_database
from tests.server.campaigns.conftest import QUICK, Farm
from tests.server.campaigns.test_campaigns import with_campaigns
from tests.server.outbox.conftest import Window, open_window, until
from tests.server.watches.receiver import SECRET, ReceiverServer
from tests.unsteady_network import UnsteadyNetwork

__all__ = ["open_window", "until"]
ANSWER_S, END_S = 15.0, 8.0
Until = Callable[..., Any]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReceiverServer]:
    monkeypatch.setenv("WATCH_SECRET", SECRET)
    made = ReceiverServer()
    yield made
    made.close()


@pytest.fixture
def config(farm: Farm, network: UnsteadyNetwork, hook: ReceiverServer) -> Iterator[str]:
    with fresh_database() as url:
        durable = f"database_url = '{url.replace('5432', str(network.port))}'"
        changed = farm.config.replace("[durable]\n", f"[durable]\n{durable}\n", 1)
        lines = [line for line in changed.splitlines() if not line.startswith("path = ") or durable in line]
        team = f'\n[notify.team]\nurl = "{hook.url}"\nsecret_env = "WATCH_SECRET"\nallow_private = true\n'
        yield with_campaigns("\n".join(lines)) + team


def reserve(farm: Farm, node: str) -> str:
    """Have a colleague reserve a node; the reservation's id."""
    body = {"node_ids": [node], "message": "theirs", "duration_secs": 3600}
    (made,) = farm.colleague.post("/reservations", json=body).raise_for_status().json()["reservations"]
    return str(made["reservation_id"])


def busy(farm: Farm, *nodes: str) -> list[str]:
    """Nodes that run a job."""
    return [n["node_id"] for n in farm.nodes() if n["node_id"] in nodes and (n["job"] or {}).get("status") == "running"]


@pytest.mark.parametrize("mode", ["refuse", "swallow"])
def test_work_goes_on_by_itself_after_the_database_was_away(
    mode: str,
    farm: Farm,
    network: UnsteadyNetwork,
    hook: ReceiverServer,
    config: str,
    open_window: Callable[[str], Window],
    until: Until,
) -> None:
    farm.free_more()
    until(lambda: len(farm.free()) >= 4)
    first, second, waited, queued = sorted(farm.free())[:4]
    theirs = [reserve(farm, node) for node in (waited, queued)]
    server = open_window(config)
    order = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": [first, second], "repeat": 30}
    campaign_id = server.call("start_campaign", **order)["campaign_id"]
    watch_id = server.call("watch", node_id=waited)["watch_id"]
    place = {"node_ids": [queued], "message": "m", "duration_minutes": 5, "wait_minutes": 30, "wait_seconds": 1}
    assert server.call("reserve_nodes", **place)["queued"]
    until(lambda: farm.results(campaign_id))

    getattr(network, mode)()
    began = time.monotonic()
    for reservation in theirs:
        farm.colleague.delete(f"/reservations/{reservation}").raise_for_status()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("get_campaign", {"campaign_id": campaign_id}),
        ("list_campaigns", {}),
        ("reserve_nodes", place),
        ("watch", {"watch_id": watch_id}),
    ]
    asked = [server.ask(tool, **arguments) for tool, arguments in calls * 3]
    for number, (tool, _) in zip(asked, calls * 3, strict=True):
        answer = server.answer(number, ANSWER_S + began - time.monotonic())
        assert answer is not None
        assert answer["result"]["isError"], answer
        assert "does not answer" in answer["result"]["content"][0]["text"], (tool, answer)
    until(lambda: not busy(farm, first, second))
    network.mend()

    def ended() -> dict[str, Any]:
        now = server.call("get_campaign", campaign_id=campaign_id, wait_seconds=2)
        return now if now["state"] not in ("queued", "running") and "given back" not in now.get("note", "") else {}

    campaign = until(ended, 60)
    assert (campaign["state"], campaign["by_outcome"], campaign.get("reruns")) == ("finished", {"pass": 30}, None)
    assert farm.ran(campaign_id) == {QUICK: 30}
    assert until(lambda: server.call("watch", watch_id=watch_id)["state"] == "happened")
    granted = until(lambda: server.call("reserve_nodes", **place).get("reservations"))
    assert [farm.held()] == [[queued]], granted
    until(lambda: len(hook.count()) == 2)
    server.call("end_reservation", reservation_id=granted[0]["reservation_id"])
    assert {first, second, waited, queued} <= set(farm.free())


@pytest.mark.parametrize("way", ["a signal", "the end of its input"])
def test_a_server_ends_within_seconds_while_its_database_answers_nothing(
    way: str, farm: Farm, network: UnsteadyNetwork, config: str, open_window: Callable[[str], Window], until: Until
) -> None:
    farm.free_more()
    until(lambda: len(farm.free()) >= 2)
    first, held = sorted(farm.free())[:2]
    server = open_window(config)
    order = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": [first], "repeat": 30}
    campaign_id = server.call("start_campaign", **order)["campaign_id"]
    server.call("reserve_nodes", node_ids=[held], message="m", duration_minutes=5)
    until(lambda: farm.results(campaign_id))
    network.swallow()
    server.ask("get_campaign", campaign_id=campaign_id)
    server.ask("list_campaigns")
    began = time.monotonic()
    if way == "a signal":
        server.process.send_signal(signal.SIGTERM)
    else:
        assert server.process.stdin
        server.process.stdin.close()
    assert server.process.wait(timeout=20) == 0
    assert time.monotonic() - began < END_S
    assert held in farm.free(), "a reservation of the server's own is given back"


def test_a_server_that_starts_while_its_database_answers_nothing_says_so_and_serves_it_later(
    network: UnsteadyNetwork, config: str, open_window: Callable[[str], Window], until: Until
) -> None:
    network.swallow()
    server = open_window(config)
    asked = [server.ask("list_campaigns") for _ in range(4)]
    began = time.monotonic()
    for number in asked:
        answer = server.answer(number, ANSWER_S + began - time.monotonic())
        assert answer is not None
        assert "does not answer" in answer["result"]["content"][0]["text"], answer
    network.mend()
    assert server.call("list_campaigns")["campaigns"] == []
