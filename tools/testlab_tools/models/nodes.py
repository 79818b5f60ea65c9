"""The results that adapters return and tools report of nodes: their state, jobs, dialogs and reservations.

A field left at its default is not reported. Fields typed `Untrusted` carry what devices, logs and people wrote.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, WrapSerializer

from testlab_tools.models.lab import ResultModel, ServiceShare
from testlab_tools.times import Minute, Moment, iso
from testlab_tools.untrusted import Untrusted, UntrustedData, UntrustedEnd

NodeState = Literal["free", "busy", "reserved", "reserved by you", "offline", "licence expired", "unavailable"]


class Reservation(ResultModel):
    """A node held by somebody; with "no end" it is held until it is ended."""

    reservation_id: str
    node_id: str
    holder: Untrusted
    yours: bool
    expires_at: Literal["no end", "not told"] | Moment
    message: Untrusted = ""

    @property
    def until(self) -> str:
        """Its end, as part of a sentence."""
        if not isinstance(self.expires_at, str):
            return f"until {iso(self.expires_at)}"
        return "without end" if self.expires_at == "no end" else "until when is not told"


class PlaceInLine(ResultModel):
    """A ticket that waits for nodes: its `place` among those who want the same (0: not known yet), how long it is
    expected to wait, and `until` when it lapses. `passed_over` are nodes that fit and are not taken, and why; `doubts`
    what failed lately on those asked for by id."""

    place: int = 0
    expected_wait: str
    until: Moment
    passed_over: dict[str, str] = {}
    doubts: dict[str, str] = {}
    why: str = ""


class Reservations(ResultModel):
    """The reservations just made, all or none; or, with `queued`, the ticket that waits for them, and its place.
    `doubts` are of nodes reserved, and what failed on them lately."""

    reservations: list[Reservation]
    doubts: dict[str, str] = {}
    queued: str = ""
    line: PlaceInLine | None = None
    note: str = ""
    next: str = ""


class Ended(ResultModel):
    """A reservation that no longer holds its node."""

    reservation_id: str
    ended: bool
    next: str = ""


class Pressed(ResultModel):
    """A key that was pressed."""

    node_id: str
    key: str
    next: str = ""


class Switched(ResultModel):
    """The power of a node's device, as far as it is told."""

    node_id: str
    power: Literal["on", "off", "not told"]
    note: str = ""
    next: str = ""


class ConsoleLines(ResultModel):
    """What a serial console wrote within `seconds`: its last `lines`, of `total_bytes`."""

    node_id: str
    seconds: float
    total_bytes: int
    lines: UntrustedEnd = ""
    note: str = ""
    next: str = ""


def _within_node(reservation: Reservation | None, write: SerializerFunctionWrapHandler) -> dict[str, Any] | None:
    """Inside a node, what the node says already is left out. Its state says whose it is only while nothing runs."""
    if reservation is None:
        return None
    said = ("node_id", "holder") if reservation.yours else ("node_id", "yours")
    return {name: value for name, value in write(reservation).items() if name not in said}


class Dialog(ResultModel):
    """What a running test shows its operator, and waits for: `buttons` are what can be pressed, each with its label.

    `takes` is what is typed or chosen, of `choices` where there are any. `shows` is what is there to be seen besides
    the text. `holds` is "not told" where the test may go on without an answer.
    """

    dialog_id: str
    node_id: str
    title: Untrusted = ""
    text: Untrusted
    takes: Literal["nothing", "text", "number", "one choice", "choices", "unknown"] = "nothing"
    choices: list[Untrusted] = []
    steps: list[Untrusted] = []
    buttons: dict[str, Untrusted]
    shows: list[Literal["image", "web page"]] = []
    holds: Literal["", "not told"] = ""


class JobBrief(ResultModel):
    """A node's current job; of an idle node, with detail, its last. `started_by` is a login or NOT_TOLD."""

    job_uid: str
    finished: bool
    done: int
    total: int
    started_by: Untrusted = ""
    started_at: Moment | None = None


class Node(ResultModel):
    """A device under test with its node. `why` is the service's reason for not being available; `last_used_at` says
    since when it has been idle, and is left out while it is in use. `device_type` is UNKNOWN where the service has
    none, `licence_expiry` is said of an expired licence, and with detail. `waiting_for` are dialogs that
    wait for a person."""

    node_id: str
    state: NodeState
    name: Untrusted = ""
    device_type: Untrusted = ""
    reservation: Annotated[Reservation | None, WrapSerializer(_within_node)] = None
    job: JobBrief | None = None
    last_used_by: Untrusted = ""
    last_used_at: Minute | None = None
    why: Untrusted = ""
    waiting_for: list[Dialog] = Field(default_factory=list[Dialog])
    licence_expiry: Untrusted = ""
    detail: dict[str, UntrustedData] = {}


class Taken(ResultModel):
    """Nodes that could not be had, with who holds them and their message, or what they run."""

    taken: list[Node]


class NodeList(ResultModel):
    """The lab's nodes, or those asked for by id: `total` of them, `matching` of them where some are left out, and
    `free` ones among all that match. `note` says which ids are no node, and which nodes a text may have missed."""

    nodes: list[Node]
    shown: int
    matching: int | None = None
    total: int
    free: int
    services: list[ServiceShare] = []
    note: str = ""
    cursor: str = ""
