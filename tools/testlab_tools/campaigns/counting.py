"""What a run means for its item: its counted result, another attempt elsewhere, or a failure confirmed or not."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.records import COUNTER_OF, Attempt, Rerun
from testlab_tools.campaigns.sharing import Work
from testlab_tools.models.lab import Outcome, Run
from testlab_tools.triage.causes import read_fault
from testlab_tools.untrusted import shorten

NO_RUN = "Its job ended, and no run of this test was found."
REASON_CHARS = 400


class Verdict(NamedTuple):
    """One attempt, what changes of its item, which counter of the campaign goes up, and the work that follows.

    `outcome` is the item's counted one, empty where this attempt does not count.
    """

    attempt: Attempt
    work: Work
    outcome: Outcome | None = None
    rerun: Rerun = ""
    counter: str = ""
    follows: Work | None = None


def judge(work: Work, run: Run | None, node: str, batch: int, order: CampaignOrder) -> Verdict:
    """Judge a run; None is one that the job counted and that was not found. Only an infrastructure error, outcome
    "error", is run again: a failure of the product counts at once."""
    if run is not None and order.is_open and run.outcome == "fail" and read_fault(run.reason, errored=False):
        # A rate and a first bad revision are of the product, and a failure for want of a picture is not known to be.
        run = run.model_copy(update={"outcome": "error"})
    outcome: Outcome = run.outcome if run is not None else "error"
    if outcome == "error" and work.tries < order.retries:
        follows = replace(work, tries=work.tries + 1, avoid=work.avoid | {node})
        return Verdict(_attempt(work, run, node, batch, "retried"), work, counter="retried", follows=follows)
    if work.kind == "confirm":
        rerun: Rerun = "confirmed" if outcome == "fail" else "unconfirmed" if outcome == "pass" else "unknown"
        counter = "" if rerun == "unknown" else rerun
        return Verdict(_attempt(work, run, node, batch, "rerun"), work, rerun=rerun, counter=counter)
    counted = _attempt(work, run, node, batch, "counted")
    if outcome != "fail" or not order.confirm_failures:
        return Verdict(counted, work, outcome, counter=COUNTER_OF[outcome])
    follows = Work(work.item, work.test, "confirm", avoid=frozenset({node}))
    return Verdict(counted, work, outcome, "waiting", COUNTER_OF[outcome], follows)


def _attempt(work: Work, run: Run | None, node: str, batch: int, kind: str) -> Attempt:
    told = (
        {
            "run_id": run.run_id,
            "outcome": run.outcome,
            "reason": shorten(run.reason, REASON_CHARS),
            "started_at": run.started_at.timestamp(),
            "duration_s": run.duration_s,
        }
        if run is not None
        else {"outcome": "error", "reason": NO_RUN}
    )
    return Attempt.model_validate({"item": work.item, "batch": batch, "node": node, "kind": kind, **told})
