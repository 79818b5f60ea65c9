"""Over stdio: standard output is the protocol's alone, and the process ends with its standard input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.server_processes import ServerProcess, start_server

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


LOOK = {
    "jsonrpc": "2.0",
    "id": "look",
    "method": "server/discover",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}


def call(tool: str, number: int, **arguments: object) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def process(sim: SimLab, tmp_path: Path, audit: Path) -> Iterator[ServerProcess]:
    path = tmp_path / "config.toml"
    config = sim.config_toml().replace("[audit]\nenabled = false", f"[audit]\nfile = '{audit}'\nreads = true")
    path.write_text(config, encoding="utf-8")
    with start_server("serve", "--config", str(path), stderr=subprocess.PIPE) as started:
        yield started
        started.kill()


def say(process: ServerProcess, *messages: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.writelines(json.dumps(message) + "\n" for message in messages)
    process.stdin.flush()


def answer(process: ServerProcess, number: int | str) -> dict[str, Any]:
    assert process.stdout
    while line := process.stdout.readline():
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        if message.get("id") == number:
            return message
    raise AssertionError("the server ended")


def test_the_process_ends_when_standard_input_closes(process: ServerProcess) -> None:
    say(process, HELLO, READY, call("list_nodes", 2))
    answer(process, 2)
    out, _ = process.communicate(timeout=5)
    assert process.returncode == 0
    assert out == ""


def leave_a_call_waiting(process: ServerProcess) -> None:
    say(process, HELLO, READY, call("list_nodes", 2, text="Node 3"))
    busy = next(n for n in answer(process, 2)["result"]["structuredContent"]["nodes"] if n["state"] == "busy")
    say(process, call("get_job", 3, node_id=busy["node_id"], wait_seconds=45), call("list_nodes", 4))
    answer(process, 4)


def told(audit: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
    return [(line["tool"], line.get("error", "")) for line in lines]


def test_a_call_that_waits_at_the_end_of_input_is_cancelled_and_nothing_is_written_about_it(
    process: ServerProcess, audit: Path
) -> None:
    leave_a_call_waiting(process)
    out, err = process.communicate(timeout=5)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert told(audit)[-1] == ("get_job", "Cancelled")


def test_a_client_that_reads_no_more_ends_the_process_though_its_input_stays_open(
    process: ServerProcess, audit: Path
) -> None:
    leave_a_call_waiting(process)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    say(process, call("list_nodes", 5))
    assert process.wait(timeout=5) == 0
    assert "Traceback" not in process.stderr.read()
    assert ("get_job", "Cancelled") in told(audit)


def test_a_client_that_vanishes_leaves_no_traceback(process: ServerProcess) -> None:
    leave_a_call_waiting(process)
    assert process.stdout
    assert process.stdin
    assert process.stderr
    say(process, call("list_nodes", 5))
    process.stdout.close()
    process.stdin.close()
    assert process.wait(timeout=5) == 0
    assert "Traceback" not in process.stderr.read()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_ends_it_as_the_end_of_input_does(process: ServerProcess, audit: Path) -> None:
    leave_a_call_waiting(process)
    process.terminate()
    assert process.wait(timeout=5) == 0
    assert process.stdout
    assert process.stdout.read() == ""
    assert told(audit)[-1] == ("get_job", "Cancelled")


@pytest.mark.parametrize("looks", [1, 3])
def test_a_client_that_only_looked_around_may_shake_hands_in_the_old_way(looks: int, process: ServerProcess) -> None:
    for _ in range(looks):
        say(process, LOOK)
        assert "2026-07-28" in answer(process, "look")["result"]["supportedVersions"]
    gave_up = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "look"}}
    say(process, gave_up, HELLO, READY, call("list_nodes", 2))
    assert answer(process, 1)["result"]["protocolVersion"] == "2025-06-18"
    assert answer(process, 2)["result"]["structuredContent"]["nodes"]


def test_a_look_that_was_not_waited_for_is_no_obstacle(process: ServerProcess) -> None:
    say(process, LOOK, HELLO, READY, call("list_nodes", 2))
    assert answer(process, 2)["result"]["structuredContent"]["nodes"]


def test_who_has_asked_in_the_modern_era_stays_there(process: ServerProcess) -> None:
    modern = {**call("list_nodes", 2), "params": {**call("list_nodes", 2)["params"], **LOOK["params"]}}
    say(process, LOOK, modern)
    assert answer(process, 2)["result"]["structuredContent"]["nodes"]
    say(process, HELLO)
    assert answer(process, 1)["error"]["code"] == -32022


def test_what_is_declared_is_done(process: ServerProcess) -> None:
    """Nothing that is listed changes while the server runs, and resources can be listened to."""
    say(process, LOOK, HELLO)
    for capabilities in (
        answer(process, "look")["result"]["capabilities"],
        answer(process, 1)["result"]["capabilities"],
    ):
        declared = [kind for kind in ("tools", "prompts", "resources") if capabilities[kind].get("listChanged")]
        assert declared == []
        assert capabilities["resources"]["subscribe"]


def test_standard_output_carries_only_the_protocol_whatever_goes_wrong(process: ServerProcess) -> None:
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
    answers: dict[int, Any] = dict.fromkeys(range(1, 9))
    for _ in answers:
        assert process.stdout
        message = json.loads(process.stdout.readline())
        answers[message["id"]] = message
    assert all(answers.values())
    assert "error" in answers[7]
    assert answers[8]["result"]["isError"] is False
    _, err = process.communicate(timeout=5)
    assert "Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_demo_shakes_hands_while_its_lab_is_not_there_yet_and_calls_wait_for_it() -> None:
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--demo"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True, encoding="utf-8") as process:
        say(process, HELLO, READY)
        answer(process, 1)
        (lab,) = children_of(process.pid)
        os.kill(lab, signal.SIGSTOP)
        say(process, call("list_nodes", 2), {"jsonrpc": "2.0", "id": 3, "method": "tools/list"})
        assert process.stdout
        assert json.loads(process.stdout.readline())["id"] == 3, "the call waits, and nothing else does"
        os.kill(lab, signal.SIGCONT)
        assert answer(process, 2)["result"]["structuredContent"]["nodes"]


def test_serving_the_demo_leaves_no_simulated_lab_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--demo"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
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
