"""`testlab-mcp` as a process of its own, in a few hundredths of a second: a fork of one process that has imported it.

The program starts on real files with a process id of its own, and dies of signals as any other. What a start costs, and
what it imports, is tested on `python -m testlab_mcp` itself. Where a process cannot fork, that is what starts here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

from tests.forks import FORKS, Fork, address_of


class ForkedServer(Fork):
    """A running command. Its pipes are of text."""

    def __init__(self, arguments: tuple[str, ...], stderr: int | IO[str], environment: Mapping[str, str]) -> None:
        (its_in, our_in), (our_out, its_out) = os.pipe(), os.pipe()
        our_err, its_err = _open_stderr(stderr)
        super().__init__("server", arguments, environment, {0: its_in, 1: its_out, 2: its_err})
        self.stdin: IO[str] | None = os.fdopen(our_in, "w", encoding="utf-8")
        self.stdout: IO[str] | None = os.fdopen(our_out, encoding="utf-8")
        self.stderr: IO[str] | None = os.fdopen(our_err, encoding="utf-8") if our_err is not None else None

    def __enter__(self) -> ForkedServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe:
                pipe.close()
        self.wait()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Close its input, wait for its end, and return the rest of what it wrote. Raises subprocess.TimeoutExpired."""
        with ThreadPoolExecutor(2) as reading:
            rest = [reading.submit(pipe.read) for pipe in (self.stdout, self.stderr) if pipe]
            if self.stdin:
                self.stdin.close()
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        out, err = [one.result() for one in rest] + [""] * (2 - len(rest))
        return out, err


ServerProcess = ForkedServer | subprocess.Popen[str]


def server_command() -> list[str]:
    """What starts `testlab-mcp` as such a process, for whoever starts servers by a command."""
    if not FORKS:
        return [sys.executable, "-m", "testlab_mcp"]
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("run_fork.py")), address_of("server")]


def start_server(
    *arguments: str, stderr: int | IO[str] = subprocess.DEVNULL, environment: Mapping[str, str] | None = None
) -> ServerProcess:
    """Start `testlab-mcp ARGUMENTS` with pipes as its standard input and output."""
    env = os.environ if environment is None else environment
    if FORKS:
        return ForkedServer(arguments, stderr, env)
    command = [*server_command(), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, env=env, text=True, encoding="utf-8")


@contextmanager
def serve_over_http(config: Path, address: str = "127.0.0.1:0") -> Iterator[str]:
    """A server over HTTP, and its URL. It is told to stop at the end, and does."""
    with start_server("serve", "--config", str(config), "--http", address, stderr=subprocess.PIPE) as process:
        assert process.stderr
        found = re.search(r"http://[\d.]+:\d+/mcp", process.stderr.readline())
        assert found
        yield found[0]
        process.terminate()
        assert process.wait(timeout=8) == 0


def _open_stderr(stderr: int | IO[str]) -> tuple[int | None, int]:
    """Our end, if it is a pipe, and the process's."""
    if stderr == subprocess.PIPE:
        return os.pipe()
    if isinstance(stderr, int):
        return None, os.open(os.devnull, os.O_WRONLY)
    return None, os.dup(stderr.fileno())
