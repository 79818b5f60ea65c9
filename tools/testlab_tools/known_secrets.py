"""The tokens this process sends to its services, taken out of whatever it says: a lab's log may have printed one."""

from __future__ import annotations

MASK = "[a token of this server's config]"
MIN_CHARS = 8
"""A shorter one may be any word."""

_tokens: dict[str, str] = {}


def remember(service: str, token: str) -> None:
    """Keep the token that goes to a service, in place of the one it had before."""
    if len(token) >= MIN_CHARS:
        _tokens[service] = token


def mask(text: str) -> str:
    """The text without any of these tokens."""
    for token in tuple(_tokens.values()):
        if token in text:
            text = text.replace(token, MASK)
    return text
