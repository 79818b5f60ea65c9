"""Over Streamable HTTP: the same tools, for old protocol revisions and for 2026-07-28."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client


@pytest.fixture(scope="module")
def url(sim: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path: Path = tmp_path_factory.mktemp("http") / "config.toml"
    path.write_text(sim.config_toml(), encoding="utf-8")
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--config", str(path), "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stderr
        found = re.search(r"http://127\.0\.0\.1:\d+/mcp", process.stderr.readline())
        assert found
        yield found[0]
        process.terminate()
        assert process.wait(timeout=8) == 0


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")])
async def test_both_protocol_eras_list_and_call(mode: str, version: str, url: str, ask: Any) -> None:
    async with Client(url, mode=mode) as client:
        assert client.protocol_version == version
        assert {"list_runs", "run_tests"} <= {tool.name for tool in (await client.list_tools()).tools}
        nodes = await ask(client, "list_nodes")
        assert nodes["total"] >= 8


async def test_a_refused_call_leaves_the_session_alive(url: str, ask: Any, refused: Any) -> None:
    async with Client(url) as client:
        assert "no argument" in await refused(client, "list_runs", serial="SN-1")
        assert (await ask(client, "list_nodes"))["nodes"]


async def test_a_health_check_needs_no_protocol(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        assert (await http.get(url.replace("/mcp", "/healthz"))).json() == {"status": "ok"}


async def test_a_foreign_host_name_is_turned_away(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        reply = await http.post(url, headers={"Host": "lab.example.com"}, json={})
        assert reply.status_code == 421


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(url: str, tmp_path: Path, sim: Any) -> None:
    path = tmp_path / "config.toml"
    path.write_text(sim.config_toml(), encoding="utf-8")
    address = url.removeprefix("http://").removesuffix("/mcp")
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--config", str(path), "--http", address]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=20, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Take another port" in done.stderr


def test_a_demo_told_to_stop_takes_its_simulated_lab_and_folder_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--demo", "--http", "127.0.0.1:0"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment) as process:
        assert process.stderr
        url = process.stderr.readline().split()[-1]
        while not _answers(url.replace("/mcp", "/healthz")):
            assert process.poll() is None
        assert list(tmp_path.iterdir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=8) == 0
    assert list(tmp_path.iterdir()) == []


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False
