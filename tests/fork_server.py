"""A process that other processes of the tests are forks of, so that what they all need is imported once.

`python -m tests.fork_server DESCRIPTOR MODULE` imports the module when the first connection comes to the listening
socket. Each connection asks for a fork: a JSON request, with files that get the numbers it names. It is answered with
the fork's process id and, when that has ended, with its exit code. A connection that is closed before ends the fork;
the end of standard input ends all.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Become = Callable[[dict[str, Any]], int]
"""What a fork does with its request; returns its exit code."""
MAX_REQUEST_BYTES = 1 << 20


def main() -> None:
    """Answer until standard input ends. The module's `prepare` is called before each fork, and makes what it needs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal it reaches the tests as well, which end this
    listener = socket.socket(fileno=int(sys.argv[1]))
    if 0 in select.select([0, listener], [], [])[0]:
        return
    prepare: Callable[[], Become] = importlib.import_module(sys.argv[2]).prepare
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    waiting.register(listener, selectors.EVENT_READ)
    alive: dict[socket.socket, int] = {}
    while True:
        for key, _ in waiting.select():
            if key.fileobj == 0:
                for pid in alive.values():
                    os.kill(pid, signal.SIGKILL)
                return
            if key.fileobj is listener:
                connection, _ = listener.accept()
                if (pid := _fork(connection, prepare())) is None:
                    connection.close()
                    continue
                alive[connection] = pid
                waiting.register(connection, selectors.EVENT_READ)
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, connection)
            elif key.data is not None:
                _end(waiting, key, alive.pop(key.data))
            elif isinstance(key.fileobj, socket.socket) and (pid := alive.get(key.fileobj)):
                os.kill(pid, signal.SIGKILL)  # whoever asked for it has gone
                waiting.unregister(key.fileobj)


def _fork(connection: socket.socket, become: Become) -> int | None:
    """The process id; None where whoever asked has gone. Who goes a moment later ends the fork, as ever."""
    message, files, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, 3)
    if not message:
        return None
    request: dict[str, Any] = json.loads(message)
    if not (pid := os.fork()):
        for number, file in zip(request["numbers"], files, strict=True):
            os.dup2(file, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os._exit(_run(request, become))
    for file in files:
        os.close(file)
    with suppress(OSError):
        connection.send(str(pid).encode())
    return pid


def _run(request: dict[str, Any], become: Become) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    try:
        return become(request)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except Exception:  # noqa: BLE001 - whatever comes out of it is the fork's end
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _end(waiting: selectors.BaseSelector, ended: selectors.SelectorKey, pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    connection: socket.socket = ended.data
    try:
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        waiting.unregister(connection)
    except (OSError, KeyError):  # nobody waits for it
        pass
    waiting.unregister(ended.fileobj)
    os.close(ended.fd)
    connection.close()


def freeze() -> None:
    """What was made so far stays: no collection of garbage looks at it, nor copies its pages in a fork; and the next
    is after more new things than Python's 700, which takes a fourteenth off what tests cost."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    gc.enable()


if __name__ == "__main__":
    main()
