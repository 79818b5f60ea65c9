"""A request for nodes, and the ticket that waits for them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import ConfigDict

from testlab_tools.late_model import LateModel

TicketState = Literal["waiting", "granted", "ended", "expired", "cancelled", "refused"]


class NodeRequest(LateModel):
    """Nodes of one service, by native ids; all are granted at once, or none.

    With `node_ids`, `count` of these; else `count` of a `device_type`, or of any. A `count` of 0 takes all that are
    free, at least one. `allowed` are the nodes that the caller may use, None for all. Nodes in `node_ids` are not
    passed over for what failed on them lately. `extended` are extended for as long as they are needed, beyond
    `duration_s`.
    """

    model_config = ConfigDict(frozen=True)

    service: str
    node_ids: tuple[str, ...] = ()
    device_type: str = ""
    count: int = 0
    message: str
    duration_s: int
    caller: str
    allowed: tuple[str, ...] | None = None
    extended: bool = False


class HeldNode(NamedTuple):
    """A reservation that was made for a ticket, by native ids; `until` in seconds since 1970, UTC, None for no end."""

    reservation_id: str
    node_id: str
    until: float | None


class Ticket(LateModel):
    """A place in line. Times are seconds since 1970, UTC.

    `place` is 1 for the next; `expected_wait` is in seconds, None where it is not known, and `is_bound` where it is
    certain to end by then. `passed_over` says why nodes that would fit are not taken; `doubts` what failed lately on
    nodes that were asked for by name. `reason` says why the ticket ended, or what it waits for.
    """

    ticket_id: str
    request: NodeRequest
    state: TicketState
    written_at: float
    deadline: float
    place: int = 0
    expected_wait: tuple[float, float] | None = None
    is_bound: bool = False
    passed_over: dict[str, str] = {}
    doubts: dict[str, str] = {}
    reservations: list[HeldNode] = []
    granted_at: float | None = None
    reason: str = ""
