"""What can be watched, and the watch of it. Times are seconds since 1970, UTC."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import ConfigDict

from testlab_tools.late_model import LateModel
from testlab_tools.models.nodes import Node
from testlab_tools.models.watches import WatchFacts, WatchState
from testlab_tools.untrusted import quote

Kind = Literal["job", "node", "reservation", "campaign", "yield"]
Becomes = Literal["free", "offline", "different"]


class Condition(LateModel):
    """A first pass yield below so many percent, over the last units that match."""

    model_config = ConfigDict(frozen=True)

    below: float
    over_units: int
    part: str = ""
    test: str = ""
    station: str = ""


class Subject(LateModel):
    """The end of a job, reservation or campaign, a node that becomes something, or a yield; `native` is its native id.

    `before` is the node's state when it was first seen. `service` is empty for a yield over all services.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    service: str
    native: str = ""
    becomes: Becomes = "free"
    before: str = ""
    condition: Condition | None = None

    @property
    def polled_as(self) -> Subject:
        """What is polled for it: all nodes of a service at once."""
        if self.kind == "node":
            return Subject(kind="node", service=self.service)
        return self.model_copy(update={"before": ""})

    @property
    def handle(self) -> str:
        """Its id, as tools take it."""
        return self.native if self.kind == "campaign" else f"{self.service}:{self.native}"

    def digest(self, caller: str, max_hours: float) -> str:
        """The same for the same call of the same caller, whatever the thing's state was."""
        same = self.model_copy(update={"before": ""}).model_dump_json()
        return hashlib.sha256(f"{caller} {max_hours} {same}".encode()).hexdigest()[:12]

    def describe(self) -> str:
        """What is waited for, in our words and ids."""
        if self.kind in ("job", "reservation", "campaign"):
            return f"the end of {self.kind} {self.handle!r}"
        if self.kind == "node":
            becomes = "changes its state" if self.becomes == "different" else f"is {self.becomes}"
            return f"that node {self.handle!r} {becomes}"
        assert self.condition is not None, "of this kind"
        units = f"{self.condition.over_units} units {self.describe_runs()}"
        return f"a first pass yield below {self.condition.below:g} % over the last {units}"

    def describe_runs(self) -> str:
        """Of which runs a yield is: their service, part, test and station; names quoted, as callers gave them."""
        assert self.condition is not None, "of this kind"
        names = {"part": self.condition.part, "test": self.condition.test, "station": self.condition.station}
        of = "".join(f", {kind} {quote(name, 60)}" for kind, name in names.items() if name)
        return f"at {self.service or 'all services'}{of}"


class Watch(LateModel):
    """A watch as it stands. `facts` are what was last seen, `told_at` when its end was first told to its caller."""

    watch_id: str
    subject: Subject
    caller: str
    state: WatchState
    begun_at: float
    deadline: float
    facts: WatchFacts
    seen_at: float | None = None
    trouble: str = ""
    what: str = ""
    ended_at: float | None = None
    told_at: float | None = None


def state_of(node: Node) -> str:
    """A node's state as it is for everybody, and by which reservation."""
    state = "reserved" if node.state == "reserved by you" else node.state
    return f"{state} {node.reservation.reservation_id if node.reservation else ''}".strip()
