"""Serves a connection in the era of its first request, as the SDK's `serve_dual_era_loop` does, and without its relay:
there a task of its own passes each frame on to the loop that was chosen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.server import runner
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import PROTOCOL_VERSION_META_KEY, JSONRPCRequest

from testlab_mcp.wire import Frame

MODERN, LEGACY = "_serve_modern_stream", "_serve_legacy_stream"
"""What the SDK chooses between. An SDK without them serves by its own loop."""
MAX_LEAD = 8
"""Frames before the first request that are kept, as the SDK keeps them."""


async def serve_in_era(
    server: Server[Any], frames: AsyncGenerator[Frame], sink: ObjectSendStream[SessionMessage], state: Any
) -> None:
    """Serve these frames until they end."""
    lead: list[Frame] = []
    opening: JSONRPCRequest | None = None
    async for frame in frames:
        if isinstance(frame, SessionMessage) and isinstance(frame.message, JSONRPCRequest):
            opening = frame.message
            lead.append(frame)
            break
        if len(lead) < MAX_LEAD:
            lead.append(frame)
    stream = Frames(_replay(lead, frames))
    modern: Callable[..., Any] | None = getattr(runner, MODERN, None)
    legacy: Callable[..., Any] | None = getattr(runner, LEGACY, None)
    options = server.create_initialization_options()
    if modern is None or legacy is None:
        await runner.serve_dual_era_loop(server, stream, sink, lifespan_state=state, init_options=options)
    elif opening is not None and opening.method != "initialize" and has_envelope(opening):
        await modern(server, stream, sink, lifespan_state=state, raise_exceptions=False)
    else:
        given = {"lifespan_state": state, "session_id": None, "init_options": options, "raise_exceptions": False}
        await legacy(server, stream, sink, **given)


def has_envelope(request: JSONRPCRequest) -> bool:
    """Whether a request is of the modern era, by the version in its `_meta`."""
    meta = (request.params or {}).get("_meta")
    return isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta


async def _replay(lead: list[Frame], frames: AsyncGenerator[Frame]) -> AsyncGenerator[Frame]:
    for frame in lead:
        yield frame
    async for frame in frames:
        yield frame


class Frames(ObjectReceiveStream[Frame]):
    """Frames as the read stream of one of the SDK's loops."""

    def __init__(self, frames: AsyncGenerator[Frame]) -> None:
        self._frames = frames

    async def receive(self) -> Frame:
        try:
            return await anext(self._frames)
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    async def aclose(self) -> None:
        await self._frames.aclose()
