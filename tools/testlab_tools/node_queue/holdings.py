"""What holds the nodes of a service, and for how long it has been seen to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from testlab_tools.models.nodes import Node

OBSERVED_S = 60.0
"""After a longer pause, when something ended is not known."""
MARKER = "#q"
"""Begins what marks a ticket's reservations, in their message."""


class Holding(NamedTuple):
    """What holds a node, since when it was seen, and whether it was seen to begin."""

    node: str
    since: float
    begun: bool


class Holdings:
    """Reservations and jobs, by their ids."""

    def __init__(self) -> None:
        self._held: dict[str, Holding] = {}
        self._observed_at: float | None = None

    def observe(self, nodes: Mapping[str, Node], now: float) -> list[tuple[str, float]]:
        """Note what holds the nodes; returns for how long nodes were held, of reservations whose begin and end were
        seen."""
        is_watched = self._observed_at is not None and now - self._observed_at < OBSERVED_S
        known, self._observed_at = self._held, now
        self._held = {
            handle: known.get(handle) or Holding(name, now, is_watched and counts)
            for name, node in nodes.items()
            for handle, counts in _holders(node)
        }
        ended = [one for handle, one in known.items() if handle not in self._held]
        return [(one.node, now - one.since) for one in ended if one.begun] if is_watched else []

    def held_for(self, node: Node, now: float, date: float) -> float:
        """For how many seconds a node has been held at least; `date` is now in seconds since 1970."""
        since = [one.since for handle, _ in _holders(node) if (one := self._held.get(handle))]
        begun = [node.job.started_at.timestamp()] if node.job and not node.job.finished and node.job.started_at else []
        return max([0.0, *(now - seen for seen in since), *(date - start for start in begun)])


def _holders(node: Node) -> list[tuple[str, bool]]:
    """What holds a node, by its id, and whether its duration is counted here: the tickets say that of themselves."""
    held, job = node.reservation, node.job
    reserved = [(held.reservation_id, MARKER not in held.message)] if held else []
    return reserved + ([(job.job_uid, False)] if job and not job.finished else [])
