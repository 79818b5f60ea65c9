"""How often a caller may call: by the clock, each for itself, and told when to come again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testlab_mcp.access.guard import RateLimiter
from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk, Serve


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_minutes_calls_may_come_at_once_and_then_as_time_goes_by() -> None:
    clock = Clock()
    rates = RateLimiter(6, clock)
    assert [rates.take("alice") for _ in range(8)] == [0] * 6 + [10, 10]
    clock.now = 9.9
    assert rates.take("alice") == 1
    clock.now = 10
    assert [rates.take("alice") for _ in range(2)] == [0, 10]
    clock.now = 10_000
    assert [rates.take("alice") for _ in range(7)] == [0] * 6 + [10]


def test_callers_do_not_use_up_each_others_calls() -> None:
    rates = RateLimiter(1, Clock())
    assert [rates.take(name) for name in ("alice", "bob", "alice", "bob")] == [0, 0, 60, 60]


def test_zero_is_no_bound() -> None:
    rates = RateLimiter(0, Clock())
    assert {rates.take("alice") for _ in range(1000)} == {0}


async def test_too_many_calls_are_told_so_and_lists_are_not_counted(
    sim: SimLab, desk: Desk, serve: Serve, refused: RefusedCaller, ask: ToolCaller
) -> None:
    tables = "[http]\ncalls_per_minute = 2\n" + desk.table_of("alice") + desk.table_of("bob")
    url = serve(tables + sim.config_toml())
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob", "legacy") as bob:
        for _ in range(5):
            await alice.list_tools()
        for _ in range(2):
            await ask(alice, "list_nodes")
        told = await refused(alice, "list_nodes")
        assert told == "Too many calls: [http] calls_per_minute allows each caller 2. Call again in 30 s."
        assert (await ask(bob, "list_nodes"))["nodes"]


async def test_who_started_the_server_on_this_machine_has_no_bound(
    sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller
) -> None:
    async with desk.signed_in(serve("[http]\ncalls_per_minute = 1\n" + sim.config_toml())) as client:
        for _ in range(3):
            assert (await ask(client, "list_nodes"))["nodes"]
