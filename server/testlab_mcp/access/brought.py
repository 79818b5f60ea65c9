"""The tokens that callers bring for services, taken out of a request's headers, and told apart without being kept."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr

from testlab_tools.settings import token_header

MOST_CHARS = 8192
_SALT = os.urandom(32)


def brought(request: Any, services: Iterable[str]) -> dict[str, SecretStr]:
    """By service, what an HTTP request (None over stdio) brings for those of them that it has one header for."""
    if request is None:
        return {}
    found: dict[str, SecretStr] = {}
    for service in services:
        values = request.headers.getlist(token_header(service))
        if len(values) == 1 and 0 < len(values[0].strip()) <= MOST_CHARS:
            found[service] = SecretStr(values[0].strip())
    return found


def fingerprints(tokens: Mapping[str, SecretStr]) -> tuple[tuple[str, bytes], ...]:
    """A key for these tokens, of no use outside this process."""
    return tuple(
        (service, hmac.digest(_SALT, token.get_secret_value().encode("utf-8", "surrogateescape"), hashlib.sha256))
        for service, token in sorted(tokens.items())
    )
