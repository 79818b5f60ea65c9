"""Runs given while the service goes up and down and the servers are killed: all there, none twice.

A few kills here; `./do crash` runs the whole of it.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window

WHOLE = os.environ.get("TESTLAB_CRASH") == "whole"
TROUBLES: tuple[dict[str, object], ...] = (
    {"action": "reset"},
    {"action": "status", "status": 503},
    {"action": "status", "status": 429, "retry_after": "1"},
    {"action": "reset-after", "method": "POST"},
    {"action": "slow", "seconds": 1.0},
    {"action": "garbage", "method": "POST"},
    *({"action": "status-after", "method": "POST", "status": status} for status in (500, 501, 503, 507, 520)),
    {"action": "status-after", "method": "POST", "status": 408, "body": "<html>", "media_type": "text/html"},
    {"action": "status-after", "method": "POST", "status": 429, "retry_after": "1"},
)
"""Each is as likely as any other; the last seven leave a run recorded that seems to be refused, or put off."""


class Driver:
    """Gives runs to servers and kills those; a run whose answer never came is looked up, and given again if need be."""

    def __init__(
        self, plant: Plant, open_window: Callable[[str], Window], config: str, windows: int, seed: int
    ) -> None:
        self.plant = plant
        self.chance = random.Random(seed)
        self.kills = 0
        self._open = lambda: open_window(config)
        self.windows = [self._open() for _ in range(windows)]

    def give(self, serials: list[str], kill: bool) -> list[str]:
        """Give runs during some trouble and kill a server meanwhile; the serials of those that nobody has."""
        if self.chance.random() < 0.7:
            self.plant.trouble(**self.chance.choice(TROUBLES))
        asked = [(serial, n % len(self.windows)) for n, serial in enumerate(serials)]
        numbers = [self.windows[at].ask("create_run", **self.run(serial)) for serial, at in asked]
        if kill:
            time.sleep(self.chance.uniform(0.0, 3.0))
            victim = self.chance.randrange(len(self.windows))
            self.windows[victim].kill()
            self.kills += 1
        answers = [self.windows[at].answer(number) for (_, at), number in zip(asked, numbers, strict=True)]
        if kill:
            self.windows[victim] = self._open()
        self.plant.calm()
        written = self.written()
        lost = [serial for (serial, _), answer in zip(asked, answers, strict=True) if serial not in written]
        assert all(answer is None for (serial, _), answer in zip(asked, answers, strict=True) if serial in lost)
        return lost

    def run(self, serial: str) -> dict[str, Any]:
        return self.plant.run(serial, phases=[{"name": "Power", "outcome": "pass", "duration_s": 2}])

    def written(self) -> set[str]:
        """The serials of all deliveries there are."""
        listed = self.windows[0].call("list_deliveries", limit=200)
        assert max(listed["waiting"], listed["parked"], listed["delivered"]) <= 200
        assert listed["parked"] == 0
        return {delivery["unit"] for delivery in listed["deliveries"]}


def crash(
    driver: Driver, runs: int, kills: int, until: Callable[..., Any], capsys: pytest.CaptureFixture[str], title: str
) -> None:
    todo = [f"SN-{n:03}" for n in range(runs)]
    batch = runs // kills
    while todo:
        now, todo = todo[:batch], todo[batch:]
        todo = driver.give(now, kill=driver.kills < kills) + todo
    expected = [f"SN-{n:03}" for n in range(runs)]
    until(lambda: len(driver.plant.serials()) >= runs, seconds=90)
    until(lambda: driver.windows[0].call("list_deliveries", limit=1)["waiting"] == 0, seconds=30)
    there = driver.plant.serials()
    twice, missing = len(there) - len(set(there)), len(set(expected) - set(there))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{title}: {len(there)} of {runs} runs there, {twice} twice, {missing} missing, {driver.kills} kills\n"
        )
    assert there == expected


@pytest.mark.parametrize("version", ["v2", "v1"] if WHOLE else ["v2"])
def test_no_run_is_lost_or_made_twice_though_the_server_is_killed_again_and_again(
    version: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    sqlite: str,
    until: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs, kills = (200, 20) if WHOLE else (40, 4)
    driver = Driver(plant, open_window, plant.config(sqlite, version), windows=1, seed=20)
    crash(driver, runs, kills, until, capsys, f"SQLite, one server, TofuPilot {version}")


def test_on_postgresql_with_two_servers_one_of_them_killed_no_run_is_lost_or_made_twice(
    plant: Plant,
    open_window: Callable[[str], Window],
    postgresql: str,
    until: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs, kills = (200, 20) if WHOLE else (30, 3)
    driver = Driver(plant, open_window, plant.config(postgresql), windows=2, seed=21)
    crash(driver, runs, kills, until, capsys, "PostgreSQL, two servers, TofuPilot v2")
