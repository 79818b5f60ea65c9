"""What tools report of campaigns."""

from __future__ import annotations

from typing import Literal

from testlab_tools.models.lab import Outcome, ResultModel
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted

CampaignState = Literal["queued", "running", "finished", "cancelled", "failed"]


class CampaignBrief(ResultModel):
    """A campaign: `runs` to be made are `tests` repeated; `by_outcome` counts those that have a result, `not_run`
    have none. `caller` is told of somebody else's. In a list, `conclusion` of a soak or bisection so far."""

    campaign_id: str
    state: CampaignState
    service: str
    test_pack_revision: Untrusted
    message: Untrusted = ""
    caller: str = ""
    created_at: Moment
    ended_at: Moment | None = None
    tests: int
    runs: int
    by_outcome: dict[Outcome, int] = {}
    not_run: int = 0
    conclusion: Untrusted = ""


class CampaignFailure(ResultModel):
    """A counted result that is no pass, of a bisection with its `revision`. `rerun`: confirmed, the failure came again;
    flaky, it passed when run again; unknown, the rerun ended in an error. `retries` attempts before it ended in
    errors."""

    run_id: str = ""
    test: Untrusted
    revision: Untrusted = ""
    outcome: Outcome
    node_id: str
    reason: Untrusted = ""
    rerun: Literal["", "confirmed", "flaky", "unknown"] = ""
    rerun_id: str = ""
    retries: int = 0


class CampaignNode(ResultModel):
    """What a node has run, by outcome, all attempts counted, those of reruns and retries too; the job that it runs
    now, `why` it was dropped or is doubted."""

    node_id: str
    state: Literal["working", "dropped", "given back"]
    by_outcome: dict[Outcome, int] = {}
    job_uid: str = ""
    why: str = ""


class Reruns(ResultModel):
    """Runs besides those that count: `retried`, attempts that ended in an infrastructure error and were made again;
    failures by what their rerun came to, `confirmed`, or `flaky` where it passed."""

    retried: int = 0
    confirmed: int = 0
    flaky: int = 0


class CampaignWait(ResultModel):
    """What a queued campaign waits for: its `place` in line, bounds of the wait, and nodes that are not waited for."""

    place: int = 0
    expected_minutes: list[float] = []
    passed_over: dict[str, str] = {}
    note: str = ""


class SoakResult(ResultModel):
    """The failure rate of a test: between `low` and `high` at 95 %, however often it was looked at. `n` runs count,
    `errors` of the infrastructure do not; a test that ends in "errors only" is run no more. `runs_left` more decide
    it, if they fail as often; left out where unknown."""

    test: Untrusted
    conclusion: Literal["open", "known", "below", "above", "errors only"]
    n: int
    failures: int
    errors: int = 0
    low: float
    high: float
    runs_left: int | None = None


class BisectedRevision(ResultModel):
    """A revision that was run."""

    revision: Untrusted
    n: int
    failures: int


class BisectionResult(ResultModel):
    """The `first_bad` revision, at 95 %; or `candidates`, the likeliest first, of which it is one unless revisions do
    not differ."""

    test: Untrusted
    conclusion: Literal["open", "found", "no difference", "fails less at the end"]
    first_bad: Untrusted = ""
    last_good: Untrusted = ""
    candidates: list[Untrusted] = []
    revisions: list[BisectedRevision] = []


class CampaignStatus(CampaignBrief):
    """A campaign as it stands; `failures` are the first that were counted. `remaining_minutes` are bounds of the time
    that is left, from the durations so far and what runs now; left out where too little has run to say."""

    reruns: Reruns | None = None
    soak: list[SoakResult] = []
    bisection: BisectionResult | None = None
    waits: CampaignWait | None = None
    remaining_minutes: list[float] = []
    nodes: list[CampaignNode] = []
    failures: list[CampaignFailure] = []
    saved_to: str = ""
    note: str = ""
    next: str = ""


class CampaignOrdered(ResultModel):
    """A campaign as it was just started or cancelled, with the counts of get_campaign; or a schedule of campaigns, or
    a watch that has ended."""

    campaign_id: str
    state: CampaignState | Literal["scheduled", "watching", "happened", "not in time", "gone"]
    runs: int
    by_outcome: dict[Outcome, int] = {}
    not_run: int = 0
    note: str = ""
    next: str = ""


class ScheduledCampaign(ResultModel):
    """A campaign that is started again and again: by which `daily_at`, when `next`, and what the last start came to;
    without `tests`, all that the revision has then. cancel_campaign ends it by its `schedule_id`."""

    schedule_id: str
    service: str
    test_pack_revision: Untrusted
    tests: int | None = None
    node_ids: list[str] = []
    device_type: Untrusted = ""
    daily_at: str
    zone: str
    next_at: Moment
    message: Untrusted = ""
    caller: str = ""
    last: str = ""


class CampaignList(ResultModel):
    """A page of campaigns, newest first, on the first with those `scheduled`. `cursor` fetches the next page; empty
    means this is the last. `note`: whether none goes on."""

    campaigns: list[CampaignBrief]
    scheduled: list[ScheduledCampaign] = []
    cursor: str = ""
    note: str = ""
