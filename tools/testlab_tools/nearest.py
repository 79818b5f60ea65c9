"""The names that are written most like a wrong one, for the next step of an error."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Up to `count` of the names, best first; none when nothing is alike by `cutoff` (0 to 1)."""
    return get_close_matches(name, list(names), count, cutoff)


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """`Did you mean 'portal'?`, or `otherwise` when no name is alike."""
    near = nearest(name, names)
    return f"Did you mean {near[0]!r}?" if near else otherwise
