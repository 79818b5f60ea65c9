"""Clients give up long before a slow service has answered, and call again: that is one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp.shared.exceptions import MCPError

from tests.fixture_types import Connect

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window

OPENHTF = Path(__file__).parents[2] / "samples" / "openhtf_lot" / "SN-0000.1.json"
DATABASES = pytest.mark.parametrize("database", ["sqlite", "postgresql"])
VERSIONS = pytest.mark.parametrize("version", ["v2", "v1"])


@VERSIONS
async def test_a_client_that_gives_up_and_calls_again_gets_the_delivery_of_its_first_call(
    version: str, plant: Plant, sqlite: str, spawn: Connect, until: Callable[..., Any]
) -> None:
    plant.trouble(action="slow", method="POST", seconds=4)
    async with spawn(plant.config(sqlite, version)) as client:
        await client.call_tool("list_deliveries", {})  # the engine has started
        with pytest.raises(MCPError):
            await client.call_tool("create_run", plant.run("SN-1"), read_timeout_seconds=2)
        again = (await client.call_tool("create_run", plant.run("SN-1"))).structured_content
        assert "your earlier identical call" in again["note"]
        (listed,) = (await client.call_tool("list_deliveries", {})).structured_content["deliveries"]
        assert listed["delivery_id"] == again.get("queued", listed["delivery_id"])
        until(lambda: plant.serials())
    assert plant.serials() == ["SN-1"]


@DATABASES
def test_a_call_given_again_by_the_next_process_is_the_delivery_of_the_one_that_was_killed(
    database: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    until: Callable[..., Any],
    request: pytest.FixtureRequest,
) -> None:
    config = plant.config(request.getfixturevalue(database), answer_within=1)
    plant.trouble(action="status", status=503)
    first = open_window(config)
    first.ask("create_run", **plant.run("SN-1"))
    other = open_window(config)
    (waiting,) = until(lambda: other.call("list_deliveries")["deliveries"])
    first.kill()
    again = other.call("create_run", **plant.run("SN-1"))
    assert again["queued"] == waiting["delivery_id"]
    other_run = other.call("create_run", **plant.run("SN-1", started_at="2001-01-01T00:00:30Z"))
    assert other_run["queued"] != waiting["delivery_id"]
    plant.calm()
    until(lambda: other.call("list_deliveries")["delivered"] == 2)
    assert plant.serials() == ["SN-1", "SN-1"]


def test_a_call_that_was_queued_and_is_given_again_while_it_waits_is_the_same_delivery(
    plant: Plant, sqlite: str, open_window: Callable[[str], Window]
) -> None:
    plant.trouble(action="status", status=503)
    window = open_window(plant.config(sqlite, answer_within=1))
    first, again = (window.call("create_run", **plant.run("SN-1")) for _ in range(2))
    assert again["queued"] == first["queued"]
    assert window.call("list_deliveries")["waiting"] == 1


def test_a_call_given_again_after_its_answer_records_another_run(
    plant: Plant, sqlite: str, open_window: Callable[[str], Window]
) -> None:
    window = open_window(plant.config(sqlite))
    window.call("list_deliveries")  # the engine has started: the answers are quick
    runs = [window.call("create_run", **plant.run("SN-1"))["run_id"] for _ in range(2)]
    assert len(set(runs)) == 2
    assert plant.serials() == ["SN-1", "SN-1"]


@pytest.mark.parametrize("tool", ["create_run", "import_report"])
def test_a_service_that_does_not_answer_is_answered_for_within_four_seconds(
    tool: str, plant: Plant, durable: str, folder: Path, open_window: Callable[[str], Window]
) -> None:
    (folder / "r.json").write_bytes(OPENHTF.read_bytes())
    arguments = plant.run("SN-1") if tool == "create_run" else {"path": "r.json", "serial_number": "SN-1"}
    window = open_window(plant.config(f"answer_within_seconds = 4\n{durable}"))
    window.call("list_deliveries")
    plant.trouble(action="slow", seconds=30)
    begun = time.monotonic()
    assert window.call(tool, **arguments)["queued"]
    assert time.monotonic() - begun < 4.8


def test_the_config_says_how_long_a_call_waits(plant: Plant, sqlite: str, open_window: Callable[[str], Window]) -> None:
    window = open_window(plant.config(f"{sqlite}\nanswer_within_seconds = 0.5"))
    window.call("list_deliveries")
    plant.trouble(action="slow", seconds=30)
    begun = time.monotonic()
    assert window.call("create_run", **plant.run("SN-1"))["queued"]
    assert time.monotonic() - begun < 2
