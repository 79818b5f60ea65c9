"""`testlab-mcp` as a process of its own, in a few hundredths of a second: a fork of one process that has imported it.

The program starts on real files with a process id of its own, and dies of signals as any other. What a start costs, and
what it imports, is tested on `python -m testlab_mcp` itself. Where a process cannot fork, that is what starts here.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any

FORKS = hasattr(os, "pidfd_open") and sys.platform != "darwin"


class ForkedServer:
    """A running command, with as much of `subprocess.Popen` as the tests use. Its pipes are of text."""

    def __init__(self, arguments: tuple[str, ...], stderr: int | IO[str], environment: Mapping[str, str]) -> None:
        (its_in, our_in), (our_out, its_out) = os.pipe(), os.pipe()
        our_err, its_err = _open_stderr(stderr)
        request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(environment)}
        try:
            self.pid: int = _starter().ask(request, [its_in, its_out, its_err])
        finally:
            for file in (its_in, its_out, its_err):
                os.close(file)
        self._ended = os.pidfd_open(self.pid)
        self.returncode: int | None = None
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

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            self.returncode = _starter().ask({"reap": self.pid}, [])
            os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None and not select.select([self._ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("testlab-mcp", timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


ServerProcess = ForkedServer | subprocess.Popen[str]


def start_server(
    *arguments: str, stderr: int | IO[str] = subprocess.DEVNULL, environment: Mapping[str, str] | None = None
) -> ServerProcess:
    """Start `testlab-mcp ARGUMENTS` with pipes as its standard input and output."""
    env = os.environ if environment is None else environment
    if FORKS:
        return ForkedServer(arguments, stderr, env)
    command = [sys.executable, "-m", "testlab_mcp", *arguments]
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


class _Starter:
    """The process that servers are forks of. It answers each request with a number."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._socket, theirs = socket.socketpair()
        with theirs:
            path = Path(__file__).with_name("server_starter.py")
            self._process = subprocess.Popen([sys.executable, str(path)], stdin=theirs.fileno())
        atexit.register(self._close)

    def ask(self, request: Mapping[str, Any], files: list[int]) -> int:
        with self._asking:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            answer = self._socket.recv(100)
        assert answer, "the process that servers are forks of has ended"
        return json.loads(answer)

    def _close(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def _starter() -> _Starter:
    return _Starter()
