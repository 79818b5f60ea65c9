"""Writes the audit's lines, each off the event loop. The trail is opened at the first of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp.server.session import ServerSession

from testlab_mcp.audit.attempt import Attempt, Said, why_not
from testlab_tools.errors import Refused
from testlab_tools.registry import ToolSpec

if TYPE_CHECKING:
    from testlab_mcp.audit.trail import Trail

logger = logging.getLogger("testlab_mcp")


def client_of(session: ServerSession) -> dict[str, str]:
    """Name and version of the client, as it says itself; empty when it does not."""
    from testlab_mcp.audit.entry import shortened

    params = session.client_params
    if params is None:
        return {}
    info = params.client_info
    return {"name": shortened(info.name), "version": shortened(info.version)}


class Clerk:
    """`open_trail` is None where there is no audit; `reads` has calls that only look written down too."""

    def __init__(self, open_trail: Callable[[], Trail] | None = None, reads: bool = False) -> None:
        self._open_trail = open_trail
        self._reads = reads
        self._trail: Trail | None = None

    def attempt(self, spec: ToolSpec, arguments: Mapping[str, Any], who: str, session: ServerSession) -> Attempt:
        """A call that is about to be made; `who` is the caller's name."""
        if self._open_trail is None:
            return Attempt(None, spec, arguments, "", {})
        return Attempt(self._write, spec, arguments, who, client_of(session), self._reads)

    async def refused(self, spec: ToolSpec, arguments: object, who: str, session: ServerSession) -> None:
        """A call that the policy does not let through; its arguments are as they came."""
        given: Mapping[str, Any] = cast(Mapping[str, Any], arguments) if isinstance(arguments, Mapping) else {}
        attempt = self.attempt(spec, given, who, session)
        attempt.stage = "policy"
        try:
            async with attempt:
                raise Refused("Not allowed")
        except Refused:
            return

    async def _write(self, said: Said) -> None:
        """A line that cannot be written is told to whoever reads the log; an intent's failure goes on to the call."""
        with anyio.CancelScope(shield=True):
            try:
                await anyio.to_thread.run_sync(self._append, said)
            except Exception as error:
                logger.error("a line of the audit could not be written: %s", why_not(error))
                if said["event"] == "intent":
                    raise

    def _append(self, said: Said) -> None:
        if self._trail is None:
            assert self._open_trail is not None, "without a trail nothing is written"
            self._trail = self._open_trail()
        self._trail.append(said)
