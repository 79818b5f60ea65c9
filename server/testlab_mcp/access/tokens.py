"""Static tokens: 256 random bits after a prefix that secret scanners can know. Only their hash is kept anywhere.

A plain SHA-256 will do: what is random through and through cannot be guessed from its hash, however fast that is.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping

PREFIX = "tlm_"


def mint() -> str:
    """A new token."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What the config keeps of a token: 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def owner(token: str, digests: Mapping[str, str]) -> str:
    """Whose token it is, of name by digest; empty when nobody's. Compares with all, whichever is right."""
    given, found = digest(token), ""
    for known, name in digests.items():
        if hmac.compare_digest(given, known):
            found = name
    return found
