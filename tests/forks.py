"""Processes of the tests in a few hundredths of a second: forks of one process that has imported what they need.

Such a process waits from the beginning, and imports when the first fork of it is asked for: by whichever process of the
tests. Where a process cannot fork, or cannot be waited for as a file, there is none.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

FORKS = hasattr(os, "pidfd_open") and sys.platform != "darwin"
FOLDER = "TESTLAB_FORKS"
"""Names the folder of the sockets, for every process below the first."""
Kind = Literal["server", "lab"]
KINDS: tuple[Kind, ...] = ("server", "lab")


def start() -> Callable[[], None]:
    """Start what forks are made of, unless a process above has; what ends it."""
    if not FORKS or FOLDER in os.environ:
        return lambda: None
    folder = tempfile.TemporaryDirectory(prefix="testlab-forks-")
    os.environ[FOLDER] = folder.name
    started = [_start(kind) for kind in KINDS]

    def end() -> None:
        for process in started:
            process.communicate()
        del os.environ[FOLDER]
        folder.cleanup()

    return end


def _start(kind: Kind) -> subprocess.Popen[bytes]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address_of(kind))
        listener.listen(64)
        command = [sys.executable, "-m", "tests.fork_server", str(listener.fileno()), f"tests.{kind}_forks"]
        root = Path(__file__).parents[1]
        return subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], cwd=root)


def address_of(kind: Kind) -> str:
    """The socket that answers for a kind of fork."""
    if FOLDER not in os.environ:
        atexit.register(start())
    return str(Path(os.environ[FOLDER], kind))


class Fork:
    """A running fork, with as much of `subprocess.Popen` as the tests use. It ends with this process."""

    def __init__(
        self, kind: Kind, arguments: Sequence[str], environment: Mapping[str, str], files: dict[int, int]
    ) -> None:
        """`files`: ours, by the number that each gets there; they are closed here."""
        request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(environment)}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.connect(address_of(kind))
            request["numbers"] = list(files)
            socket.send_fds(self._socket, [json.dumps(request).encode()], list(files.values()))
        finally:
            for file in files.values():
                os.close(file)
        self.pid: int = self._read()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None and select.select([self._socket], [], [], 0)[0]:
            self.returncode = self._read()
            self._socket.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None and not select.select([self._socket], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a fork", timeout or 0)
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

    def _read(self) -> Any:
        answer = self._socket.recv(100)
        assert answer, "the process that this would be a fork of has ended"
        return json.loads(answer)
