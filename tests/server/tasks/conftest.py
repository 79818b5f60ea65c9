"""Fixtures of the tests of tasks: servers as processes on one database, asked in the protocol of 2026-07-28."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.lab_processes import LabProcess
from tests.postgresql import fresh_database
from tests.server_processes import start_server
from tests.task_client import Agent

QUICK = "tests/menu.py::test_that_menu_appears_when_menu_key_is_pressed"


class Portal:
    """The simulated Stb-tester portal, seen from outside."""

    def __init__(self, lab: SimLab) -> None:
        self._service = lab.services()["stbtester"]
        root = self._service["url"].rpartition("/")[0]
        self._control = httpx2.Client(base_url=f"{root}/_sim")
        self.you = httpx2.Client(
            base_url=f"{self._service['url']}/api/v2", headers={"Authorization": f"token {self._service['token']}"}
        )
        self.nodes = [node["node_id"] for node in self.you.get("/nodes").json() if node["available"]]

    @property
    def table(self) -> str:
        return (
            f'[services.portal]\nkind = "stbtester"\nurl = "{self._service["url"]}"\n'
            f'token = "{self._service["token"]}"\n'
        )

    def order(self, **more: object) -> dict[str, Any]:
        """Arguments of `run_tests`; the job ends only when time is let pass."""
        return {"node_id": self.nodes[0], "test_pack_revision": "main", "test_cases": [QUICK] * 20, **more}

    def finish(self) -> None:
        """Let time pass until jobs have ended."""
        self._control.post("/clock", json={"advance_seconds": 600}).raise_for_status()

    def hold(self, path: str) -> None:
        """Keep requests to a path open until `calm`."""
        fault = {"service": "stbtester", "path_prefix": f"/api/v2{path}", "action": "hold", "times": 0}
        self._control.post("/faults", json=fault).raise_for_status()

    def calm(self) -> None:
        self._control.delete("/faults").raise_for_status()

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        requests = self._control.get("/requests").json()["requests"]
        return sum(each["count"] for each in requests if each["path"].startswith(f"/api/v2{path}"))

    def state(self, job_uid: str) -> dict[str, Any]:
        return self.you.get(f"/jobs{job_uid.partition(':')[2]}").json()

    def close(self) -> None:
        self.calm()
        self.finish()
        self._control.close()
        self.you.close()


class Replica:
    """A server over HTTP, as a process."""

    def __init__(self, config: Path) -> None:
        arguments = ("serve", "--config", str(config), "--http", "127.0.0.1:0")
        self.process = start_server(*arguments, stderr=subprocess.PIPE)
        assert self.process.stderr
        found = re.search(r"http://[\d.]+:\d+/mcp", self.process.stderr.readline())
        assert found, "the server did not start"
        self.url = found[0]
        self._agents: list[Agent] = []

    def agent(self, token: str = "") -> Agent:
        self._agents.append(Agent(self.url, token))
        return self._agents[-1]

    def kill(self) -> None:
        """SIGKILL: nothing in the process gets to run any more."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it and its clients."""
        self.kill()
        for each in (*self._agents, self.process.stdin, self.process.stdout, self.process.stderr):
            if each:
                each.close()

    def stop(self) -> None:
        """As an operator stops it."""
        self.process.terminate()
        assert self.process.wait(timeout=10) == 0


Start = Callable[..., Replica]


@pytest.fixture(scope="package")
def lab() -> Iterator[SimLab]:
    with LabProcess() as made:
        made.services()
        yield made


@pytest.fixture
def portal(lab: SimLab) -> Iterator[Portal]:
    made = Portal(lab)
    yield made
    made.close()


@pytest.fixture
def start(portal: Portal, tmp_path: Path) -> Iterator[Start]:
    """Start a server on a database, in SQLite if none is named; `more` is put before the services of its config."""
    started: list[Replica] = []

    def begin(database: str = "", more: str = "") -> Replica:
        where = f'database_url = "{database}"' if database else f"path = '{tmp_path / 'work.sqlite'}'"
        durable = "" if "[durable]" in more else f"[durable]\n{where}\n"
        config = tmp_path / f"{len(started)}.toml"
        files = f"[archive]\npath = '{tmp_path / 'archive'}'\n[files]\nsave_to = ['{tmp_path}']\n"
        audit = "" if "[audit]" in more else "[audit]\nenabled = false\n"
        tools = '[server]\ntoolsets = ["all"]\n'
        config.write_text(f"{tools}{more}{durable}{files}{audit}{portal.table}", encoding="utf-8")
        started.append(Replica(config))
        return started[-1]

    yield begin
    for replica in started:
        replica.close()


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Empty for the SQLite file of this test, or the URL of a database of its own."""
    if request.param == "SQLite":
        yield ""
        return
    with fresh_database() as url:
        yield url


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., list[Any]]:
    """Read or change the SQLite database from outside."""

    def execute(statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(tmp_path / "work.sqlite", timeout=10)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    return execute
