"""Repeatable chance: a number that depends on nothing but the words it is asked for."""

from __future__ import annotations

from hashlib import blake2b

_SCALE = float(1 << 64)


def chance(*key: object) -> float:
    """A number in [0, 1) that is always the same for the same key."""
    digest = blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _SCALE


def between(low: float, high: float, *key: object) -> float:
    """A number in [low, high) that is always the same for the same key."""
    return low + (high - low) * chance(*key)
