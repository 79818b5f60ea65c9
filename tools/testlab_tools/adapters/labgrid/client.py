"""What is asked of labgrid's coordinator, and what its errors mean.

It has no sign-in: a client is who it says it is, `host/user`, and whoever says the same is the same to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from testlab_tools.adapters.labgrid import session as wire
from testlab_tools.adapters.labgrid.models import Place, QueuedReservation, Resource, read_reservation
from testlab_tools.adapters.labgrid.session import Session
from testlab_tools.capabilities import Health, Service
from testlab_tools.errors import AnswerLost, AuthError, BadReply, LabError, NotFound, ServiceDown, Unsupported

LOST = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL", "ABORTED", "DATA_LOSS"})
"""Status codes of gRPC after which a change may or may not have happened."""
SHOWN = "list_nodes shows who has which."


class Coordinator(Service):
    """Asks the coordinator at `address` in the name of `holder`, over one connection that is opened when it is needed
    and again when it was lost."""

    kind = "labgrid"

    def __init__(self, name: str, address: str, holder: str, timeout: float) -> None:
        super().__init__(name)
        self.holder = holder
        self._address = address
        self._timeout = timeout
        self._session: Session | None = None
        self._opening = asyncio.Lock()

    @property
    def location(self) -> str:
        return f"grpc://{self._address}"

    async def probe(self) -> Health:
        await self.read()
        return Health(self.holder)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def read(self) -> tuple[dict[str, Place], list[Resource]]:
        """All places by name, and all resources, as they are now."""
        session = await self._synced()
        return dict(session.places), list(session.resources.values())

    async def read_place(self, name: str) -> Place:
        """A place as it is now. Raises NotFound."""
        places, _ = await self.read()
        if name not in places:
            raise NotFound(f"{self.name} has no such place", "", "list_nodes shows all nodes.").naming(name)
        return places[name]

    async def read_queue(self) -> list[QueuedReservation]:
        """All reservations, in the order in which they are served (`schedule_reservations`)."""
        session = await self._synced()
        try:
            asked = session.stub.GetReservations(wire.pb.GetReservationsRequest(), timeout=self._timeout)
            reply = await _finish(asked)
        except (wire.grpc.AioRpcError, ConnectionResetError) as error:
            raise self.failure(error) from None
        found = [read_reservation(message) for message in reply.reservations]
        return sorted(found, key=lambda queued: (-queued.priority, queued.created))

    async def change(self, method: str, request: str, **fields: Any) -> Any:
        """Send a change, once. `method` and `request` are names of the protocol.

        Raises:
            Rejected: the coordinator says that it has not done it.
            AnswerLost: it may have.
        """
        session = await self._synced()
        send = getattr(session.stub, method)
        try:
            return await _finish(send(getattr(wire.pb, request)(**fields), timeout=self._timeout))
        except ConnectionResetError:
            code = "CANCELLED"
        except wire.grpc.AioRpcError as error:
            code = error.code().name
            if code in ("UNAUTHENTICATED", "UNIMPLEMENTED"):
                raise self.failure(error) from None
            if code not in LOST:
                raise Rejected(code) from None
        raise AnswerLost(self.name, f"The answer of {self.name} was lost", f"gRPC ended it with {code}", SHOWN)

    def failure(self, error: Any) -> LabError:
        """What an error of gRPC means for a question. Its text is the coordinator's, and is not quoted."""
        if isinstance(error, TimeoutError):
            return ServiceDown(self.name, f"{self.name} did not answer within {self._timeout:g} s", "", _AGAIN)
        code = error.code().name if hasattr(error, "code") else "the end of its session"
        match code:
            case "UNIMPLEMENTED" | "INVALID_ARGUMENT":
                why = "It is older than labgrid 24.0, or something else answers at its address"
                return BadReply(self.name, f"{self.name} does not know what it was asked (gRPC {code})", why, "")
            case "UNAUTHENTICATED" | "PERMISSION_DENIED":
                why = "A proxy before the coordinator asks for it: the coordinator itself knows none"
                return AuthError(self.name, f"{self.name} asks for a sign-in (gRPC {code})", why, "")
            case _:
                return ServiceDown(self.name, f"{self.name} cannot be reached (gRPC {code})", "", _AGAIN)

    async def _synced(self) -> Session:
        """The session, once it has told all that has happened. One that turns out to be dead is opened anew."""
        try:
            await asyncio.to_thread(wire.load)
        except ModuleNotFoundError:
            raise Unsupported(
                "labgrid is not installed where this server is",
                "It is an extra of this server",
                'pip install "testlab-mcp[labgrid]", then restart it.',
            ) from None
        for session in (self._session, None):
            try:
                if session is None:
                    session = await self._open()
                await session.sync(self._timeout)
                return session
            except (wire.grpc.AioRpcError, ConnectionResetError, TimeoutError) as error:
                failed = error
                if session is not None:
                    await session.close()
        raise self.failure(failed) from None

    async def _open(self) -> Session:
        async with self._opening:
            if self._session is None or self._session.ended:
                self._session = Session(self._address, self.holder)
            return self._session


async def _finish(calling: Awaitable[Any]) -> Any:
    """The reply. Raises ConnectionResetError where another caller has closed the session meanwhile: grpc says that in
    the same way as it says that this task is cancelled."""
    try:
        return await calling
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError from None


class Rejected(Exception):
    """The coordinator has not done it; `code` is gRPC's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


_AGAIN = "Call again later. Does the coordinator run at the address in the config?"
