"""A client's session with labgrid's coordinator: one connection, on which it tells of every place and resource.

As `ClientSession` in `labgrid/remote/client.py`. A place can only be acquired on a connection whose session has named
itself, so that what is asked besides goes over the same connection. Places and resources are told as they change; a
`sync` is answered after all that was told before it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator
from importlib.metadata import version
from itertools import count
from typing import Any

from testlab_tools.adapters.labgrid.models import Place, Resource, read_place, read_resource

grpc: Any = None
pb: Any = None
rpc: Any = None
"""grpc, and labgrid's own messages and stubs, once `load` has imported them: neither has types."""

OPTIONS = (
    ("grpc.keepalive_time_ms", 7500),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
"""The first four are those of labgrid's own client. Nothing is sent twice. Sessions of one process would share one
connection, and the coordinator takes one session on each: hence pools of their own."""


def load() -> None:
    """Import labgrid and grpc, which takes half a second. Raises ModuleNotFoundError."""
    global grpc, pb, rpc
    if rpc is None:
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else it writes to stderr that a coordinator ends
        grpc = importlib.import_module("grpc.aio")
        pb = importlib.import_module("labgrid.remote.generated.labgrid_coordinator_pb2")
        rpc = importlib.import_module("labgrid.remote.generated.labgrid_coordinator_pb2_grpc")


class Session:
    """An open session; `places` and `resources` are what the coordinator has told. `ended` once it tells no more."""

    def __init__(self, address: str, name: str) -> None:
        self.places: dict[str, Place] = {}
        self.resources: dict[tuple[str, str, str], Resource] = {}
        self.ended = False
        self._name = name
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self._numbers = count(1)
        self._synced: dict[int, asyncio.Future[None]] = {}
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        self.stub: Any = rpc.CoordinatorStub(self._channel)
        self._listening = asyncio.create_task(self._listen())
        self._listening.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._say(startup=pb.StartupDone(version=version("labgrid"), name=name))
        self._say(subscribe=pb.Subscribe(all_places=True))
        self._say(subscribe=pb.Subscribe(all_resources=True))

    async def sync(self, seconds: float) -> None:
        """Return once all that had happened is told. Raises TimeoutError, or the gRPC error that ended the session;
        ConnectionResetError where another caller has closed it."""
        number = next(self._numbers)
        answered = self._synced[number] = asyncio.get_running_loop().create_future()
        self._say(sync=pb.Sync(id=number))
        async with asyncio.timeout(seconds):
            await asyncio.wait({answered, self._listening}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            if self._listening.cancelled():
                raise ConnectionResetError("the session was closed here")
            self._listening.result()

    async def close(self) -> None:
        """End it. What it had acquired stays acquired."""
        self.ended = True
        self._listening.cancel()
        await asyncio.wait({self._listening})
        await self._channel.close()

    def _say(self, **kind: Any) -> None:
        self._out.put_nowait(pb.ClientInMessage(**kind))

    async def _sayings(self) -> AsyncGenerator[Any, None]:
        while True:
            yield await self._out.get()

    async def _listen(self) -> None:
        """Until the coordinator ends it, which is always an error."""
        try:
            async for message in self.stub.ClientStream(self._sayings()):
                for update in message.updates:
                    self._take(update)
                if message.HasField("sync") and (answered := self._synced.pop(message.sync.id, None)):
                    answered.set_result(None)
            raise ConnectionResetError("the coordinator ended the session")
        finally:
            self.ended = True

    def _take(self, update: Any) -> None:
        match update.WhichOneof("kind"):
            case "place":
                self.places[update.place.name] = read_place(update.place)
            case "del_place":
                self.places.pop(update.del_place, None)
            case "resource":
                told = read_resource(update.resource)
                self.resources[told.path.exporter, told.path.group, told.path.name] = told
            case "del_resource":
                gone = update.del_resource
                self.resources.pop((gone.exporter_name, gone.group_name, gone.resource_name), None)
            case _:
                pass
