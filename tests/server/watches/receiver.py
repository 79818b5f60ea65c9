"""A receiver of messages over real HTTP, that can be down, slow, or answer anything."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


class Reply(NamedTuple):
    """An answer; a status of 0 closes the connection without one, after the message was taken."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = {}
    seconds: float = 0


class Message(NamedTuple):
    """A request that came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def notice_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    def is_signed(self) -> bool:
        """By the formula of Standard Webhooks, computed here."""
        signed = b".".join([self.notice_id.encode(), self.headers["webhook-timestamp"].encode(), self.body])
        digest = hmac.new(KEY, signed, hashlib.sha256).digest()
        return self.headers.get("webhook-signature") == f"v1,{base64.b64encode(digest).decode()}"


class ReceiverServer:
    """Gives `replies` in their order, the last one again and again."""

    def __init__(self, replies: Sequence[Reply] = (Reply(),), port: int = 0) -> None:
        self.messages: list[Message] = []
        self.hold = threading.Event()
        self.hold.set()
        self.came = threading.Event()
        left = list(replies)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                server.messages.append(Message({k.lower(): v for k, v in self.headers.items()}, body))
                server.came.set()
                server.hold.wait(20)
                reply = left.pop(0) if len(left) > 1 else left[0]
                threading.Event().wait(reply.seconds)
                if not reply.status:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def count(self) -> Counter[str]:
        """How often each id came."""
        return Counter(message.notice_id for message in self.messages)

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
