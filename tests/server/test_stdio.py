"""Over stdio: standard output is the protocol's alone, and the process ends with its standard input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def call(tool: str, number: int, **arguments: object) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


@pytest.fixture
def process(sim: Any, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    path = tmp_path / "config.toml"
    path.write_text(sim.config_toml(), encoding="utf-8")
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--config", str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, encoding="utf-8") as started:
        yield started
        started.kill()


def say(process: subprocess.Popen[str], *messages: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.writelines(json.dumps(message) + "\n" for message in messages)
    process.stdin.flush()


def answer(process: subprocess.Popen[str], number: int) -> dict[str, Any]:
    assert process.stdout
    while line := process.stdout.readline():
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        if message.get("id") == number:
            return message
    raise AssertionError("the server ended")


def test_the_process_ends_when_standard_input_closes(process: subprocess.Popen[str]) -> None:
    say(process, HELLO, READY, call("list_nodes", 2))
    answer(process, 2)
    out, _ = process.communicate(timeout=5)
    assert process.returncode == 0
    assert out == ""


def test_the_process_ends_even_while_a_call_is_waiting(process: subprocess.Popen[str]) -> None:
    say(process, HELLO, READY, call("list_nodes", 2, text="Node 3"))
    busy = next(n for n in answer(process, 2)["result"]["structuredContent"]["nodes"] if n["state"] == "busy")
    say(process, call("get_job", 3, node_id=busy["node_id"], wait_seconds=45), call("list_nodes", 4))
    answer(process, 4)
    process.communicate(timeout=5)


def test_standard_output_carries_only_the_protocol_whatever_goes_wrong(process: subprocess.Popen[str]) -> None:
    wrong = [
        call("list_runs", 2, nonsense=1),
        call("list_runs", 3, limit="many"),
        call("no_such_tool", 4),
        call("grab_screenshot", 5, node_id="nowhere"),
        call("get_failed_cases", 6, run_id="portal:/not/a/run"),
        {"jsonrpc": "2.0", "id": 7, "method": "no/such/method"},
        call("list_nodes", 8),
    ]
    say(process, HELLO, READY, *wrong)
    answers = dict.fromkeys(range(1, 9))
    for _ in answers:
        assert process.stdout
        message = json.loads(process.stdout.readline())
        answers[message["id"]] = message
    assert all(answers.values())
    assert "error" in answers[7]
    assert answers[8]["result"]["isError"] is False
    _, err = process.communicate(timeout=5)
    assert "Traceback" not in err


def test_serving_the_demo_leaves_no_simulated_lab_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--demo"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True, encoding="utf-8") as process:
        say(process, HELLO, READY, call("list_runs", 2, limit=1))
        assert answer(process, 2)["result"]["isError"] is False
        labs = children_of(process.pid)
        assert labs
        process.kill()
    for lab in labs:
        wait_gone(lab)


def children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8")
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


def wait_gone(pid: int) -> None:
    """A lab ends when its standard input closes, which the kill above did."""
    descriptor = os.pidfd_open(pid) if Path(f"/proc/{pid}").exists() else None
    if descriptor is not None:
        import select

        gone, _, _ = select.select([descriptor], [], [], 5)
        os.close(descriptor)
        assert gone, "the simulated lab is still running"
