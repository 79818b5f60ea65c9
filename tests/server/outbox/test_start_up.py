"""Deliveries cost a server nothing until there is one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window

ENGINE = re.compile(r"\| +(dbos|sqlalchemy|psycopg|greenlet|croniter)\b")
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def imported(config: Path, *calls: dict[str, Any]) -> set[str]:
    """What a server imports of the engine that delivers, while it answers these calls; Python itself tells."""
    command = [sys.executable, "-X", "importtime", "-m", "testlab_mcp", "serve", "--config", str(config)]
    said = config.with_suffix(".imports")
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        said.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(command, **pipes, stderr=stderr, text=True, encoding="utf-8") as process,
    ):
        assert process.stdin
        assert process.stdout
        messages = [
            {"id": 1, "method": "initialize", "params": HELLO},
            {"method": "notifications/initialized"},
            *({"id": n, **call} for n, call in enumerate(calls, 2)),
        ]
        process.stdin.writelines(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(1 + len(calls))]
        assert all("result" in answer for answer in answers)
        process.stdin.close()
    return set(ENGINE.findall(said.read_text(encoding="utf-8")))


def test_a_server_that_starts_and_lists_its_tools_imports_nothing_of_the_engine(
    plant: Plant, sqlite: str, tmp_path: Path, open_window: Callable[[str], Window]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(plant.config(sqlite), encoding="utf-8")
    assert imported(config, {"method": "tools/list"}) == set()
    assert not (tmp_path / "deliveries.sqlite").exists()
    create = {"method": "tools/call", "params": {"name": "create_run", "arguments": plant.run("SN-1")}}
    assert {"dbos", "sqlalchemy"} <= imported(config, create)
    plant.trouble(action="status", status=503)
    window = open_window(plant.config(sqlite))
    window.call("create_run", **plant.run("SN-2"))
    window.kill()  # now something waits, and a server still starts without the engine
    assert imported(config, {"method": "tools/list"}) == set()


def test_a_server_ends_soon_though_it_is_sending(
    plant: Plant, sqlite: str, open_window: Callable[[str], Window], until: Callable[..., Any]
) -> None:
    window = open_window(plant.config(sqlite))
    plant.trouble(action="slow", method="POST", seconds=120)
    number = window.ask("create_run", **plant.run("SN-1"))
    until(lambda: plant.struck() == 1)
    begun = time.monotonic()
    window.close()
    assert time.monotonic() - begun < 60, "it does not wait for the answer"
    assert window.answer(number) is None or window.process.returncode == 0
