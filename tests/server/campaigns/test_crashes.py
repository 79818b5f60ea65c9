"""Campaigns whose servers are killed again and again, while a node goes offline and the service is away: each test has
one counted result, none that finished is run twice, and every node is free at the end.

A few kills here; `./do crash` runs the whole of it.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.campaigns.conftest import Farm
from tests.server.campaigns.test_campaigns import with_campaigns
from tests.server.outbox.conftest import Window, open_window, postgresql, sqlite

__all__ = ["open_window", "postgresql", "sqlite"]
WHOLE = os.environ.get("TESTLAB_CRASH") == "whole"


class Assault:
    """Kills servers at random moments while a campaign runs."""

    def __init__(self, farm: Farm, open_one: Callable[[str], Window], durable: str, servers: int, seed: int) -> None:
        self.farm = farm
        config = farm.config.replace("[durable]\n", f"[durable]\n{durable}\n", 1)
        lines = [line for line in config.splitlines() if not (line.startswith("path = ") and durable not in line)]
        self._config = with_campaigns("\n".join(lines))
        self._open = lambda: open_one(self._config)
        self.chance = random.Random(seed)
        self.servers = [self._open() for _ in range(servers)]
        self.kills = 0

    def ask(self, tool: str, **arguments: object) -> dict[str, Any]:
        return self.servers[0].call(tool, **arguments)

    def kill(self) -> None:
        """Kill all servers that may be the leader, or one of several, and start another in its place."""
        at = self.chance.randrange(len(self.servers))
        self.servers[at].kill()
        self.kills += 1
        self.servers[at] = self._open()

    def wait(self, true: Callable[[], bool], seconds: float, words: str) -> None:
        until = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < until, words
            time.sleep(0.2)


def crash(
    assault: Assault, tests: int, repeat: int, kills: int, capsys: pytest.CaptureFixture[str], title: str
) -> None:
    farm = assault.farm
    farm.free_more()
    assault.wait(lambda: len(farm.free()) >= 6, 30, "six nodes are not free")
    nodes = sorted(farm.free())[:6]
    held, chance = farm.held(), assault.chance
    names = assault.ask("list_test_cases", revision="main", limit=36)["test_cases"]
    names = [name for name in names if "soak" not in name][:tests]
    order = {"test_pack_revision": "main", "test_cases": names, "node_ids": nodes, "repeat": repeat, "retries": 3}
    started = assault.ask("start_campaign", **order)
    campaign_id, runs = started["campaign_id"], len(names) * repeat
    offline, outage = kills // 3, 2 * kills // 3
    last = 0
    while assault.kills < kills:
        time.sleep(chance.uniform(0.2, 6.0) if not WHOLE else chance.uniform(0.2, 9.0))
        if assault.kills == offline and nodes[0] in farm.free() + farm.held():
            farm.set_node(nodes[0], online=False)
        if assault.kills == outage:
            farm.fault(action="status", status=503, times=0)
            time.sleep(60 if WHOLE else 5)
            farm.calm()
        assault.kill()
        now = assault.ask("get_campaign", campaign_id=campaign_id)
        done = runs - now.get("not_run", 0)
        assert done >= last, "a result was lost"
        last = done
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        nonlocal ended
        ended = assault.ask("get_campaign", campaign_id=campaign_id, wait_seconds=5)
        return ended["state"] not in ("queued", "running") and "given back" not in ended.get("note", "")

    assault.wait(has_ended, 900 if WHOLE else 180, "the campaign does not end")
    farm.set_node(nodes[0], online=True)
    check(farm, ended, Counter(dict.fromkeys(names, repeat)), nodes, held, assault.kills, capsys, title)


def check(
    farm: Farm,
    ended: dict[str, Any],
    wanted: Counter[str],
    nodes: list[str],
    held: list[str],
    kills: int,
    capsys: pytest.CaptureFixture[str],
    title: str,
) -> None:
    """By the portal's own record: passes and failures as often as wanted, and only errors besides."""
    results = farm.results(ended["campaign_id"])
    kept = Counter(row["test_case"] for row in results if row["result"] != "error")
    errors = Counter(row["test_case"] for row in results if row["result"] == "error")
    counted, retried = ended["by_outcome"], ended.get("reruns", {}).get("retried", 0)
    twice = sum((kept - wanted).values())
    with capsys.disabled():
        sys.stdout.write(
            f"\n{title}: {sum(counted.values())} of {sum(wanted.values())} counted, {twice} finished twice, "
            f"{sum(errors.values())} errors of which {retried} run again, {kills} kills\n"
        )
    assert (ended["state"], counted.get("error", 0) + sum(kept.values())) == ("finished", sum(wanted.values())), ended
    assert sum(counted.values()) == sum(wanted.values())
    assert not kept - wanted, "a test that had finished was run again"
    assert sum(errors.values()) == retried + counted.get("error", 0), "an error was not counted, or counted twice"
    assert farm.held() == held
    assert set(nodes) <= set(farm.free()), "a node is not free"


def test_a_campaign_survives_the_killing_of_its_only_server_on_sqlite(
    farm: Farm, open_window: Callable[[str], Window], sqlite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tests, repeat, kills = (20, 10, 20) if WHOLE else (10, 4, 3)
    crash(Assault(farm, open_window, sqlite, 1, seed=20), tests, repeat, kills, capsys, "SQLite, one server")


@pytest.mark.skipif(not WHOLE, reason="./do crash runs it")
def test_a_campaign_survives_the_killing_of_its_servers_on_postgresql(
    farm: Farm, open_window: Callable[[str], Window], postgresql: str, capsys: pytest.CaptureFixture[str]
) -> None:
    crash(Assault(farm, open_window, postgresql, 2, seed=21), 20, 10, 20, capsys, "PostgreSQL, two servers")
