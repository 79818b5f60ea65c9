"""Who gets which nodes now: first come, first served, for each node.

A ticket gets all its nodes at once. While it waits, the free ones among those it could use are kept for it from
everybody behind; not while too few of its nodes are in service, since it could not reach its count with them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """What a ticket could take: `count` of the `candidates`; 0 is all that are free, at least one."""

    ticket_id: str
    candidates: tuple[str, ...]
    count: int

    @property
    def least(self) -> int:
        """With fewer nodes it waits."""
        return self.count or 1


@dataclass(frozen=True)
class Decision:
    """`grants` by ticket; `lacking` is, by waiting ticket, how many nodes it lacks, and the taken ones that nobody
    before it wants."""

    grants: Mapping[str, tuple[str, ...]]
    lacking: Mapping[str, tuple[int, tuple[str, ...]]]


def decide(claims: Sequence[Claim], free: Collection[str], in_service: Collection[str]) -> Decision:
    """Give out the free nodes; `claims` are in the order of the tickets, and `in_service` are nodes that are free or
    will be."""
    left, wanted = set(free), set[str]()
    grants: dict[str, tuple[str, ...]] = {}
    lacking: dict[str, tuple[int, tuple[str, ...]]] = {}
    for number, claim in enumerate(claims):
        usable = [node for node in claim.candidates if node in left]
        if len(usable) >= claim.least:
            behind = claims[number + 1 :]
            rated = sorted(usable, key=lambda node, behind=behind: sum(node in other.candidates for other in behind))
            chosen = rated[: claim.count or None]
            grants[claim.ticket_id] = tuple(node for node in usable if node in chosen)
            left.difference_update(grants[claim.ticket_id])
            continue
        reachable = [node for node in claim.candidates if node in in_service]
        if len(reachable) < claim.least:
            lacking[claim.ticket_id] = (claim.least - len(usable), ())
            continue
        busy = tuple(node for node in reachable if node not in free and node not in wanted)
        lacking[claim.ticket_id] = (claim.least - len(usable), busy)
        left.difference_update(usable)
        wanted.update(reachable)
    return Decision(grants, lacking)


def place_in_line(claims: Sequence[Claim], number: int) -> int:
    """The place of a claim among those that want any of its nodes, from 1."""
    mine = set(claims[number].candidates)
    return 1 + sum(not mine.isdisjoint(other.candidates) for other in claims[:number])
