"""Whatever standard input and output are, pipes, sockets or files: each line is read, and each answer written whole."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.server.test_stdio import HELLO, READY, call

CALLS = 200


@pytest.fixture
def command(sim: SimLab, tmp_path: Path) -> list[str]:
    config = tmp_path / "config.toml"
    config.write_text(sim.config_toml(), encoding="utf-8")
    return [sys.executable, "-m", "testlab_mcp", "serve", "--config", str(config)]


@pytest.fixture
def said() -> bytes:
    """A conversation of many calls; the answers are many times what a pipe holds."""
    messages = [HELLO, READY, *(call("list_nodes", number, detail=True) for number in range(2, CALLS))]
    return "".join(json.dumps(message) + "\n" for message in messages).encode()


def answered(lines: bytes) -> list[int]:
    answers: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines()]
    return sorted(answer["id"] for answer in answers if "result" in answer)


def read_lines(read: Callable[[int], bytes], count: int) -> bytes:
    """The first `count` lines."""
    data = b""
    while data.count(b"\n") < count:
        chunk = read(2**16)
        assert chunk, "the server ended"
        data += chunk
    return data


def test_all_that_is_said_at_once_is_answered_to_a_client_that_reads_late(command: list[str], said: bytes) -> None:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(said)
        process.stdin.flush()
        output = process.stdout.fileno()
        lines = read_lines(lambda size: os.read(output, size), CALLS - 1)
        process.stdin.close()
        assert process.wait(10) == 0
    assert answered(lines) == list(range(1, CALLS))


def test_sockets_serve_as_pipes_do(command: list[str], said: bytes) -> None:
    ours, its = socket.socketpair()
    with ours, subprocess.Popen(command, stdin=its.fileno(), stdout=its.fileno()) as process:
        its.close()
        ours.settimeout(30)
        ours.sendall(said)
        lines = read_lines(ours.recv, CALLS - 1)
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(10) == 0
    assert answered(lines) == list(range(1, CALLS))


def test_files_that_nobody_can_wait_for_are_read_to_their_end(command: list[str], tmp_path: Path) -> None:
    """What waits at the end of input is cancelled, and a file is at its end at once."""
    (tmp_path / "in").write_bytes((json.dumps(HELLO) + "\n").encode())
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        assert subprocess.run(command, stdin=source, stdout=sink, timeout=30).returncode == 0
    assert answered((tmp_path / "out").read_bytes()) in ([1], [])


def test_a_line_of_megabytes_in_small_pieces_is_one_line(command: list[str]) -> None:
    long = json.dumps(call("list_nodes", 2, text="x" * 2_000_000)) + "\n"
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write((json.dumps(HELLO) + "\n" + json.dumps(READY) + "\n" + long).encode())
        process.stdin.flush()
        lines = process.stdout.readline() + process.stdout.readline()
        process.stdin.close()
        assert process.wait(10) == 0
    assert answered(lines) == [1, 2]
