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
            date_header=False,  # `fault_actions.add_date` adds it
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
