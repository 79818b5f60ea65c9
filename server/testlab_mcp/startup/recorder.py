"""What the server answers itself: compared with what was answered before it was there, and kept for the next start."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anyio
from anyio.to_thread import run_sync
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from pydantic_core import to_json

from testlab_mcp.startup.conversation import Conversation, encode_id
from testlab_mcp.startup.early import Early

logger = logging.getLogger("testlab_mcp")
PAUSE_S = 0.5
"""From an answer that is not kept yet until the document is written: a client asks for several lists at once. And from
the first call's answer until lists are compared, which imports what that call did not need."""
HOLD_S = 1.0
"""How long they wait for that answer."""
CHANGED = {
    "prompts/list": "notifications/prompts/list_changed",
    "resources/list": "notifications/resources/list_changed",
    "resources/templates/list": "notifications/resources/list_changed",
    "tools/list": "notifications/tools/list_changed",
}

_NOTHING = ("", "", b"")


class Recorder:
    """Sees all messages of a connection, and those first that were answered `early`: the server answers them as well,
    and the client does not get that."""

    def __init__(self, early: Early, answered: list[tuple[bytes, bytes]]) -> None:
        self._early = early
        self._answered = deque(answered)
        self._said: dict[str, bytes] = {}
        self._unsaved = anyio.Event()
        self._conversation = Conversation()
        self._renewed: set[str] = set()
        self._asked: dict[int | str, tuple[str, str, bytes]] = {}
        self._has_answered = anyio.Event()

    def takes(self, message: Any) -> bool:
        """Take a client's message in. Returns whether the server is to have it: not the end of what was answered."""
        if isinstance(message, JSONRPCRequest):
            if key := self._conversation.take(message.method, message.params):
                self._asked[message.id] = (message.method, key, self._find_early(message.id))
        elif isinstance(message, JSONRPCNotification):
            self._conversation.take(message.method, message.params, is_request=False)
            if message.method == "notifications/cancelled" and self._asked:
                number = (message.params or {}).get("requestId")
                return not (isinstance(number, int | str) and self._asked.get(number, _NOTHING)[2])
        return True

    def _find_early(self, number: int | str) -> bytes:
        """The result that a request has got already; empty for none."""
        if self._answered and self._answered[0][0] == encode_id(number):
            return self._answered.popleft()[1]
        return b""

    async def hold_lists(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """A middleware: a list that the client has got is made once more when the first call is answered."""
        number = ctx.request_id or 0
        if ctx.method.endswith("/list") and (early := self._asked.get(number, _NOTHING)[2]):
            try:
                with anyio.move_on_after(HOLD_S):
                    await self._has_answered.wait()
                await anyio.sleep(PAUSE_S)
            except anyio.get_cancelled_exc_class():  # the connection ends: what is said of that is no list
                self._asked[number] = ("", "", early)
                raise
        return await call_next(ctx)

    def check(self, message: Any) -> Any:
        """Take an answer of the server in. Returns what is to be sent: it, nothing if the client has it, or that a list
        is another than the one it was sent."""
        if not self._asked or not isinstance(message, JSONRPCResponse | JSONRPCError) or message.id is None:
            return message
        method, key, early = self._asked.pop(message.id, _NOTHING)
        if not early:
            self._has_answered.set()
        result = to_json(message.result) if isinstance(message, JSONRPCResponse) else b""
        if key and result:
            if self._said.get(key, self._early.answers.get(key)) != result:
                self._unsaved.set()
            self._said[key] = result
        if not early:
            return message
        return None if result == early or not method else self._renew(method)

    def _renew(self, method: str) -> Any:
        """What was answered is not so any more: nothing of its document is used again."""
        if method in self._renewed:
            return None
        if not self._renewed:
            self._early.document.discard()
            self._unsaved.set()
        self._renewed.add(method)
        logger.warning("%s was answered as at the last start, and is now another; restart the client's session", method)
        if self._conversation.is_legacy and method in CHANGED:
            return JSONRPCNotification(jsonrpc="2.0", method=CHANGED[method])
        return None

    async def save_later(self) -> None:
        """Write the document whenever there is more to keep."""
        while True:
            await self._unsaved.wait()
            await anyio.sleep(PAUSE_S)
            self._unsaved = anyio.Event()
            with anyio.CancelScope(shield=True):  # the end waits for it, and does not write it again
                await run_sync(self._write, dict(self._said))

    def save(self) -> None:
        """Write what is not kept yet."""
        if self._unsaved.is_set():
            self._write(self._said)

    def _write(self, said: Mapping[str, bytes]) -> None:
        """Only where the config and the code that have answered are still those that are there."""
        with suppress(OSError):
            if self._early.is_current():
                self._early.document.write({**self._early.document.read(), **said})
