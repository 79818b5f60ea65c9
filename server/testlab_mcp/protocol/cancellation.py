"""Over HTTP in the older era: a request that the client cancelled is not answered.

"Receivers of a cancellation notification SHOULD … not send a response for the cancelled request" (MCP 2025-11-25,
Cancellation). The SDK ends such a request's stream with an error of its own, and clients that have dropped the request
report an answer to an id they do not know.
"""

from __future__ import annotations

from mcp.server.streamable_http import REQUEST_CANCELLED
from mcp_types import JSONRPCError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MARK = f'"code":{REQUEST_CANCELLED}'.encode()


class SilentWhenCancelled:
    """An ASGI application, less the events that answer a cancelled request; the stream ends as it would."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.body" and _answers_cancelled_request(message.get("body", b"")):
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, pass_on if scope["type"] == "http" else send)


def _answers_cancelled_request(event: bytes) -> bool:
    if _MARK not in event:
        return False
    data = b"".join(line[5:] for line in event.splitlines() if line.startswith(b"data:"))
    try:
        return JSONRPCError.model_validate_json(data).error.code == REQUEST_CANCELLED
    except ValueError:
        return False
