"""What `watch` answers: what is watched for, how far it has come, and what was seen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import SerializerFunctionWrapHandler, WrapSerializer

from testlab_tools.models.campaigns import CampaignBrief
from testlab_tools.models.jobs import Job
from testlab_tools.models.lab import ResultModel
from testlab_tools.models.nodes import Node, Reservation
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted

WatchState = Literal["watching", "happened", "not in time", "gone", "cancelled"]


class YieldFigures(ResultModel):
    """The first pass yield of the last units, in percent, as summarize_runs computes it: of `n` units since `since`,
    with its 95 % interval. `unknown` says why it cannot be compared."""

    below: float
    over_units: int
    part: Untrusted = ""
    test: Untrusted = ""
    station: Untrusted = ""
    percent: float | None = None
    interval: list[float] = []
    n: int = 0
    since: Moment | None = None
    unknown: str = ""


def _without_owner(held: Reservation | None, write: SerializerFunctionWrapHandler) -> dict[str, Any] | None:
    """Whose it is depends on who asks, and all who watch it are told the same."""
    return None if held is None else {name: value for name, value in write(held).items() if name != "yours"}


class WatchFacts(ResultModel):
    """What was last seen of a thing that is watched: the one that it is."""

    job: Job | None = None
    node: Node | None = None
    reservation: Annotated[Reservation | None, WrapSerializer(_without_owner)] = None
    campaign: CampaignBrief | None = None
    figures: YieldFigures | None = None


class SentNotice(ResultModel):
    """A message about a watch to a receiver of [notify]."""

    receiver: str
    state: Literal["waiting", "sent", "parked"]
    tries: int = 0
    why: str = ""


class Watched(ResultModel):
    """A watch. `waits_for` is what it waits for, `what` what happened `at` that time, `seen` what was seen last;
    "gone": it can no longer happen.

    `trouble` says why it could not be looked at lately. `notices` are the messages that went out about its end.
    """

    watch_id: str
    state: WatchState
    waits_for: str
    what: str = ""
    seen: WatchFacts | None = None
    at: Moment | None = None
    ends_by: Moment | None = None
    seen_at: Moment | None = None
    trouble: str = ""
    notices: list[SentNotice] = []
    note: str = ""
    next: str = ""
