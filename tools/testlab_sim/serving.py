"""The lab on uvicorn: says where it is once connections are accepted, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"


def listen(port: int = 0) -> socket.socket:
    """A socket that accepts connections on `port` of this machine alone; 0 takes a free port."""
    # asyncio turns Nagle's algorithm off only for sockets that name their protocol: else each answer costs 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


class LabServer(uvicorn.Server):
    """`ready` is called once, when the server accepts connections."""

    def __init__(self, app: ASGIApp, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=0,
        )
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def serve(app: ASGIApp, listener: socket.socket, ready: Callable[[], None], *, with_stdin: bool) -> None:
    """Serve until SIGTERM, SIGINT or, if `with_stdin`, the end of standard input."""
    server = LabServer(app, ready)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _ignore)
    if with_stdin:
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    server.run([listener])


def _ignore(signum: int, frame: FrameType | None) -> None:
    """uvicorn takes these signals while it serves, and raises them again once it has shut down."""


def _stop_at_end_of_input(server: uvicorn.Server) -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    server.should_exit = True
