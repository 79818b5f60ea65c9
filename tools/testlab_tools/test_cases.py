"""Names of test cases: found by words, and held against the test pack before a job is started."""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from testlab_tools.errors import BadInput

_CANDIDATES = 50
"""Comparing a name letter by letter with all of a large test pack would hold up every other call for a second."""

_SHOWN = 3
_PLAIN = re.compile(r"[\w./-]{1,100}::\w{1,100}", re.ASCII)


def matching(names: Iterable[str], search: str) -> list[str]:
    """The names that contain every word of `search`, in any case."""
    words = search.casefold().split()
    return [name for name in names if all(word in name.casefold() for word in words)]


def nearest(name: str, known: Iterable[str], count: int = _SHOWN) -> list[str]:
    """The known names that are written most like this one, best first; none when nothing is alike."""
    words = _words(name)
    likely = heapq.nlargest(_CANDIDATES, known, key=lambda other: len(words & _words(other)))
    return get_close_matches(name, [other for other in likely if _PLAIN.fullmatch(other)], count)


def check_names(asked: Collection[str], known: Collection[str]) -> None:
    """Raises BadInput when a name is not known; it gives the nearest ones."""
    names = set(known)
    unknown = [name for name in dict.fromkeys(asked) if name not in names]
    if not unknown:
        return
    each = _SHOWN if len(unknown) == 1 else 1
    told = [_told(name, known, each) for name in unknown[:_SHOWN]]
    more = [f"and {len(unknown) - _SHOWN} more"] if len(unknown) > _SHOWN else []
    raise BadInput(
        f"The test pack has no such test case at this revision: {'; '.join(told + more)}",
        "Nothing was started",
        "list_test_cases(revision=…, search=…) finds names.",
    )


def _told(name: str, known: Iterable[str], count: int) -> str:
    shown = name if _PLAIN.fullmatch(name) else "(a name not shown: they look like tests/menu.py::test_name)"
    near = nearest(name, known, count)
    return f"{shown} (nearest: {', '.join(near)})" if near else shown


def _words(name: str) -> set[str]:
    return set(re.split(r"[\W_]+", name.casefold()))
