"""Which answers are the same each time, and what they depend on: the request, and how its connection was opened."""

from __future__ import annotations

import json
from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
"""The key of a request's `_meta` that makes it one of the modern era."""
METHODS = frozenset(
    {
        "initialize",
        "ping",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "server/discover",
        "skills/list",
        "tools/list",
    }
)
"""What says how the server is configured, and nothing of the lab."""


class Conversation:
    """What a client has said so far on one connection, as far as later answers depend on it."""

    def __init__(self) -> None:
        self._opening = ""
        self._is_initialized = False

    @property
    def is_legacy(self) -> bool:
        """Whether it was opened by the handshake."""
        return self._opening.startswith("initialize ")

    def take(self, method: str, params: Mapping[str, Any] | None, is_request: bool = True) -> str:
        """Take a message in. Returns the key of its answer, or "" where the answer may be another each time."""
        if not is_request:
            self._is_initialized = self._is_initialized or method == "notifications/initialized"
            return ""
        before = f"{self._opening} {self._is_initialized}"
        if not self._opening and not is_probe(method, params):
            opening = params if method == "initialize" else (params or {}).get("_meta")
            self._opening = f"{method if method == 'initialize' else 'request'} {_digest(opening)}"
        return _digest([before, method, params]) if method in METHODS else ""


def is_probe(method: str, params: Mapping[str, Any] | None) -> bool:
    """Whether a request is a `server/discover` of the modern era."""
    meta = (params or {}).get("_meta")
    return method == "server/discover" and isinstance(meta, dict) and PROTOCOL_VERSION in meta


def encode_id(number: object) -> bytes:
    """A request's id as its answer has it. Raises UnicodeEncodeError for half a surrogate."""
    return json.dumps(number, ensure_ascii=False).encode()


def _digest(said: object) -> str:
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
