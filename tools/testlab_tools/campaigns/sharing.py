"""Which tests a free node runs next: guided self-scheduling, as of OpenMP's loops. Batches are large while much is left
and small at the end, so that all nodes end at about the same time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

MAX_BATCH = 20
"""What is lost with a job that ends early is at most so many tests."""


@dataclass(frozen=True)
class Work:
    """One run to be made: of item `item`, a repetition of test number `test`.

    `kind` is "count" for its counted result, "confirm" for the rerun of a failure. `tries` counts the attempts that
    ended in an infrastructure error, `avoid` names the nodes it failed on.
    """

    item: int
    test: int
    kind: Literal["count", "confirm"] = "count"
    tries: int = 0
    avoid: frozenset[str] = frozenset()


def batch_size(waiting: int, nodes: int) -> int:
    """How many of the `waiting` runs one of so many nodes takes.

    >>> [batch_size(waiting, 6) for waiting in (200, 90, 18, 1)]
    [12, 5, 1, 1]
    """
    return max(1, min(MAX_BATCH, math.ceil(waiting / (3 * max(1, nodes)))))


class Pool:
    """The runs that are still to be made. Those that avoid a node go first, to another one."""

    def __init__(self, waiting: Iterable[Work] = ()) -> None:
        self._fresh: deque[Work] = deque()
        self._moved: list[Work] = []
        self.add(waiting)

    def __len__(self) -> int:
        return len(self._fresh) + len(self._moved)

    def add(self, works: Iterable[Work]) -> None:
        """Put in new work, or work that comes back."""
        for work in works:
            (self._moved if work.avoid else self._fresh).append(work)

    def take(self, node: str, nodes: Collection[str]) -> list[Work]:
        """Take the next batch for a free one of the working `nodes`; empty where nothing is left that it may run.

        It runs what avoids it only where every node is avoided.
        """
        size = min(batch_size(len(self), len(nodes)), len(self))
        taken = [work for work in self._moved if node not in work.avoid or work.avoid.issuperset(nodes)][:size]
        chosen = {id(work) for work in taken}
        self._moved = [work for work in self._moved if id(work) not in chosen]
        while self._fresh and len(taken) < size:
            taken.append(self._fresh.popleft())
        return taken

    def clear(self) -> list[Work]:
        """Take all that is left."""
        left = [*self._moved, *self._fresh]
        self._moved, self._fresh = [], deque()
        return left
