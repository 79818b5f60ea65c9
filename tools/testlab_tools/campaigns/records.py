"""A campaign as it is stored: its state and counts, its items, their attempts, its batches and its nodes."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.late_model import LateModel
from testlab_tools.models.lab import Outcome

CampaignState = Literal["queued", "running", "finished", "cancelled", "failed"]
ENDED: frozenset[CampaignState] = frozenset({"finished", "cancelled", "failed"})
COUNTERS = ("passed", "failed", "errored", "skipped", "retried", "confirmed", "unconfirmed")
"""Columns of a campaign that count: items by their counted outcome; attempts that were run again after an
infrastructure error; failures whose rerun failed too, and those whose rerun passed."""
COUNTER_OF: dict[Outcome, str] = {"pass": "passed", "fail": "failed", "error": "errored", "skip": "skipped"}
Rerun = Literal["", "waiting", "confirmed", "unconfirmed", "unknown"]


def ticket_id(campaign_id: str, number: int) -> str:
    """The id of a campaign's ticket; the first has number 1.

    >>> [ticket_id("c1", number) for number in (1, 2)]
    ['campaign-c1', 'campaign-c1-2']
    """
    return f"campaign-{campaign_id}" + (f"-{number}" if number > 1 else "")


class Campaign(LateModel):
    """A row of `campaigns`. Times are UTC seconds. `trouble` is why it does not go on just now, `why` why it ended as
    it did; `released_at` is when its last node was given back. `pinned` is the commit that its first run was of, which
    all later jobs are given: a branch may move meanwhile."""

    model_config = ConfigDict(frozen=True)

    campaign_id: str
    order: CampaignOrder
    state: CampaignState
    why: str = ""
    trouble: str = ""
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    released_at: float | None = None
    cancel_at: float | None = None
    pinned: str = ""
    tickets: int = 1
    epoch: int = 0
    tests: int
    items: int
    passed: int = 0
    failed: int = 0
    errored: int = 0
    skipped: int = 0
    retried: int = 0
    confirmed: int = 0
    unconfirmed: int = 0

    @property
    def revision(self) -> str:
        """What its next job runs."""
        return self.pinned or self.order.test_pack_revision

    @property
    def by_outcome(self) -> dict[Outcome, int]:
        """Items by their counted outcome."""
        return {"pass": self.passed, "fail": self.failed, "error": self.errored, "skip": self.skipped}

    @property
    def counted(self) -> int:
        """Items that have their result."""
        return sum(self.by_outcome.values())

    @property
    def ended(self) -> bool:
        """Whether nothing of it is run any more."""
        return self.state in ENDED


class Attempt(LateModel):
    """A run that was made for an item. `kind` is "retried" for one that ended in an infrastructure error and was run
    again, "counted" for the item's result, "rerun" for one that was to confirm a failure. `run_id` is a handle; empty
    where the job counted the test and its run was not found."""

    model_config = ConfigDict(frozen=True)

    item: int
    batch: int
    node: str
    kind: Literal["counted", "retried", "rerun"]
    outcome: Outcome
    run_id: str = ""
    reason: str = ""
    started_at: float | None = None
    duration_s: float = 0.0


class Batch(LateModel):
    """A job, or one that is meant to be started: `works` are item, number of the test and kind of each, in order.

    `job_before` is the last job of the node before it, empty where there was none; `job_uid` is empty until it is known
    to have started. Ids are native.
    """

    model_config = ConfigDict(frozen=True)

    batch: int
    node: str
    works: list[tuple[int, int, Literal["count", "confirm"]]]
    state: Literal["intended", "running", "ended"]
    job_before: str = ""
    job_uid: str = ""
    intended_at: float
    ended_at: float | None = None


class CampaignNode(LateModel):
    """A node of a campaign: "held" while it works, "dropped" with the reason, "released" at the campaign's end.
    `why` of one that was kept is what is wrong with it."""

    model_config = ConfigDict(frozen=True)

    node: str
    reservation_id: str
    ticket: int
    state: Literal["held", "dropped", "released"]
    why: str = ""
    until: float | None = None
    given_back: bool = False


class Share(LateModel):
    """What a node did: its attempts by outcome, and how long they took in all."""

    model_config = ConfigDict(frozen=True)

    node: str
    outcomes: dict[Outcome, int]
    seconds: float
