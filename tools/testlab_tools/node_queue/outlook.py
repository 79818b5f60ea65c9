"""How long a ticket will wait: from what holders' ends say, and from how long nodes were held before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import quantiles

from testlab_tools.node_queue.granting import Claim
from testlab_tools.node_queue.tickets import NodeRequest

LEAST_HOLDS = 5
"""With fewer known, how long a node will be held is unknown."""

Span = tuple[float, float]
"""Seconds: half of what was observed lies between the two."""


def typical_hold(durations: Sequence[float]) -> Span | None:
    """Between which durations the middle half lies; None where too few are known."""
    if len(durations) < LEAST_HOLDS:
        return None
    low, _, high = quantiles(durations, n=4, method="inclusive")
    return low, high


def remaining(end_in_s: float | None, held_for_s: float, hold: Span | None) -> Span | None:
    """When a held node will be free, in seconds: at its end (None: not known) at the latest, or as others were; None
    where it is held for longer than they were."""
    early = max(0.0, hold[0] - held_for_s) if hold else 0.0
    if end_in_s is not None:
        return min(early, max(0.0, end_in_s)), max(0.0, end_in_s)
    return (early, hold[1] - held_for_s) if hold and held_for_s < hold[1] else None


def expected_hold(request: NodeRequest, hold: Span | None) -> Span | None:
    """For how long a request will hold its nodes: as others did, and what it asks for at the longest."""
    return remaining(None if request.extended else request.duration_s, 0.0, hold)


def expected_wait(
    claims: Sequence[Claim], number: int, free_in: Mapping[str, Span | None], holds: Sequence[Span | None]
) -> Span | None:
    """When the claim of this number will have its nodes, in seconds; None where that is not known.

    `free_in` are the nodes in service, and when each will be free; `holds` is how long each claim will hold its own.
    """
    waits = [_simulate(claims[: number + 1], free_in, holds, which) for which in (0, 1)]
    low, high = waits
    return None if low is None or high is None else (low, max(low, high))


def is_bound(
    claims: Sequence[Claim],
    number: int,
    ends_in: Mapping[str, float | None],
    longest: Sequence[float | None],
    wait: Span,
) -> bool:
    """Whether the claim has its nodes by the end of `wait` for certain: by the known ends of who holds them (`ends_in`)
    and of those ahead (`longest`), None where there is none."""
    free_in = {node: None if end is None else (0.0, end) for node, end in ends_in.items()}
    known = expected_wait(claims, number, free_in, [None if one is None else (0.0, one) for one in longest])
    return known is not None and known[1] <= wait[1]


def _simulate(
    claims: Sequence[Claim], free_in: Mapping[str, Span | None], holds: Sequence[Span | None], which: int
) -> float | None:
    free_at = {node: None if span is None else span[which] for node, span in free_in.items()}
    start: float | None = None
    for position, claim in enumerate(claims):
        known = sorted((at, node) for node in claim.candidates if (at := free_at.get(node)) is not None)
        start = known[claim.least - 1][0] if len(known) >= claim.least else None
        if position == len(claims) - 1:
            return start
        if sum(node in free_at for node in claim.candidates) < claim.least:
            continue  # it keeps nothing from others: see `granting`
        hold = holds[position]
        taken = [node for _, node in known[: claim.least]] if start is not None else list(claim.candidates)
        for node in taken:
            if node in free_at:
                free_at[node] = start + hold[which] if start is not None and hold is not None else None
    return start
