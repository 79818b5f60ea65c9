"""Fixtures of the delivery tests: servers as processes that share one database, and what reached the service."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.postgresql import fresh_database
from tests.server_processes import start_server

LONG_AGO = "2001-01-01T00:00:00Z"
"""Before all of the simulated plant's own runs."""
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


class Window:
    """`testlab-mcp serve` as an IDE starts it: a process of its own, over stdio."""

    def __init__(self, config: Path) -> None:
        self.process = start_server("serve", "--config", str(config))
        self._answers: Queue[dict[str, Any]] = Queue()
        self._kept: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.answer(self._say("initialize", HELLO))
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, tool: str, **arguments: object) -> int:
        """Send a call and do not wait; its number."""
        return self._say("tools/call", {"name": tool, "arguments": arguments})

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The structured answer of a call that must succeed."""
        answer = self.answer(self.ask(tool, **arguments))
        assert answer is not None, "the server ended"
        assert not answer["result"]["isError"], answer["result"]["content"]
        return answer["result"]["structuredContent"]

    def answer(self, number: int, seconds: float = 40) -> dict[str, Any] | None:
        """The answer to a call; None when the process ended without giving it."""
        deadline = time.monotonic() + seconds
        while number not in self._kept:
            try:
                message = self._answers.get(timeout=max(0.01, deadline - time.monotonic()))
            except Empty:
                raise AssertionError(f"no answer within {seconds} s") from None
            if not message:
                self._answers.put({})
                return None
            self._kept[message["id"]] = message
        return self._kept.pop(number)

    def kill(self) -> None:
        """SIGKILL: nothing in the process gets to run any more."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join()
        if self.process.stdout:
            self.process.stdout.close()

    def _say(self, method: str, params: dict[str, Any]) -> int:
        self._asked += 1
        self._write({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        return self._asked

    def _write(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            message = json.loads(line)
            if "id" in message:
                self._answers.put(message)
        self._answers.put({})


@pytest.fixture
def open_window(tmp_path: Path) -> Iterator[Callable[[str], Window]]:
    """Start a server on the text of a config; all of them are ended afterwards."""
    windows: list[Window] = []

    def opened(config: str) -> Window:
        path = tmp_path / "shared.toml"
        path.write_text(config, encoding="utf-8")
        windows.append(Window(path))
        return windows[-1]

    yield opened
    for window in windows:
        window.close()


class Plant:
    """The simulated TofuPilot seen from outside: what it holds, and trouble on demand."""

    def __init__(self, services: dict[str, dict[str, Any]]) -> None:
        self.url = services["tofupilot"]["url"]
        self.token = services["tofupilot"]["token"]
        self._client = httpx2.Client(headers={"Authorization": f"Bearer {self.token}"}, timeout=10)
        self.procedure = self._client.get(f"{self.url}/api/v2/procedures", params={"limit": 1}).json()["data"][0]

    def config(self, durable: str, version: str = "v2", token: str = "", answer_within: float = 20) -> str:
        """A config of one service. A call has long to arrive, for a busy machine; give less where it cannot arrive."""
        patience = "" if "answer_within" in durable else f"answer_within_seconds = {answer_within}\n"
        return (
            f'[server]\ntoolsets = ["all"]\n[audit]\nenabled = false\n'
            f"[durable]\nlongest_pause_seconds = 2\n{patience}{durable}\n"
            f'[services.factory]\nkind = "tofupilot"\napi_version = "{version}"\nurl = "{self.url}"\n'
            f'token = "{token or self.token}"\n'
        )

    def run(self, serial: str, **changes: object) -> dict[str, Any]:
        """Arguments of `create_run`."""
        times = {"started_at": LONG_AGO, "ended_at": "2001-01-01T00:01:00Z"}
        return {
            "procedure_id": self.procedure["id"],
            "serial_number": serial,
            "outcome": "pass",
            "part_number": "PCB-1",
            **times,
            **changes,
        }

    def serials(self) -> list[str]:
        """The serial number of every run made in a test, as often as there are runs of it."""
        found: list[str] = []
        params: dict[str, Any] = {"started_before": "2001-02-01T00:00:00Z", "limit": 100}
        while True:
            page = self._client.get(f"{self.url}/api/v2/runs", params=params).json()
            found += [run["unit"]["serial_number"] for run in page["data"]]
            if not page["meta"]["has_more"]:
                return sorted(found)
            params["cursor"] = page["meta"]["next_cursor"]

    def runs(self, serial: str) -> list[dict[str, Any]]:
        """The runs of a unit, whole."""
        page = self._client.get(f"{self.url}/api/v2/runs", params={"serial_numbers": serial, "limit": 100}).json()
        return [self._client.get(f"{self.url}/api/v2/runs/{run['id']}").json() for run in page["data"]]

    def files(self, serial: str) -> list[tuple[str, int]]:
        """Name and size of every file kept with the unit's only run."""
        (run,) = self.runs(serial)
        return sorted((file["name"], file["size"]) for file in run["attachments"])

    def delete(self, serial: str) -> None:
        """Delete the runs of a unit."""
        ids = [run["id"] for run in self.runs(serial)]
        self._client.delete(f"{self.url}/api/v2/runs", params={"ids": ids}).raise_for_status()

    def struck(self) -> int:
        """How often the faults that are set have struck."""
        faults = self._client.get(f"{self.url.rpartition('/')[0]}/_sim/faults").json()
        return sum(fault["struck"] for fault in faults)

    def trouble(self, **fault: object) -> None:
        """Set a fault; it lasts until `calm`, unless `times` is given."""
        given = {"service": "tofupilot", "times": 0, **fault}
        self._client.post(f"{self.url.rpartition('/')[0]}/_sim/faults", json=given).raise_for_status()

    def calm(self) -> None:
        self._client.delete(f"{self.url.rpartition('/')[0]}/_sim/faults").raise_for_status()

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def plant(fresh_sim: SimLab) -> Iterator[Plant]:
    made = Plant(fresh_sim.services())
    yield made
    made.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"path = '{tmp_path / 'deliveries.sqlite'}'"


@pytest.fixture
def postgresql() -> Iterator[str]:
    """A database of its own on the PostgreSQL server of this machine."""
    with fresh_database() as url:
        yield f"database_url = '{url}'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of reports and files that the servers may read."""
    made = tmp_path / "readable"
    made.mkdir()
    return made


@pytest.fixture
def durable(sqlite: str, folder: Path) -> str:
    """The database, and the folder to read from."""
    return f"{sqlite}\n[files]\nread_from = ['{folder}']"


@pytest.fixture
def until() -> Callable[..., Any]:
    """Ask again until the answer holds."""

    def asked(question: Callable[[], Any], seconds: float = 30) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, "it did not come to pass"
            time.sleep(0.05)
        return answer

    return asked
