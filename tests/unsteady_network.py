"""A network to the PostgreSQL server of this machine that goes away and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any

_SERVER = ("127.0.0.1", 5432)
_RESET = struct.pack("ii", 1, 0)


class UnsteadyNetwork:
    """Carries bytes between clients and the server, over a port of its own.

    `refuse` resets what is connected and refuses what would connect, as a server that is started again; `swallow` takes
    everything and answers nothing, as behind a firewall that has forgotten; `mend` makes it well again, and resets
    what was connected.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._swallows = False
        self._open: dict[asyncio.StreamWriter, asyncio.StreamWriter | None] = {}
        self._listening: asyncio.Server | None = None
        self.port = 0
        self._run(self._listen())

    def refuse(self) -> None:
        self._run(self._stop_listening())

    def swallow(self) -> None:
        self._swallows = True

    def mend(self) -> None:
        self._run(self._stop_listening())
        self._swallows = False
        self._run(self._listen())

    def close(self) -> None:
        self._run(self._stop_listening())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for client, server in list(self._open.items()):
            client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            for side in (client, server):
                if side is not None:
                    side.transport.abort()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._open[client] = None
        try:
            if self._swallows:
                await self._carry(reader, None)
                return
            from_server, server = await asyncio.open_connection(*_SERVER)
            self._open[client] = server
            both = [
                asyncio.ensure_future(work) for work in (self._carry(reader, server), self._carry(from_server, client))
            ]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for one in both:
                one.cancel()
        finally:
            other = self._open.pop(client)
            client.close()
            if other is not None:
                other.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if not self._swallows and writer is not None:
                    writer.write(data)
