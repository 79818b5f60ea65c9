"""What a soak and a bisection say: failure rates with their bounds, and the first bad revision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.stop_rule import ends_in_errors
from testlab_tools.models.campaigns import BisectedRevision, BisectionResult, SoakResult
from testlab_tools.stopping.bisection import FALLS, NO_CHANGE, Bisection, Runs
from testlab_tools.stopping.rules import StopRule, judge

if TYPE_CHECKING:
    from testlab_tools.campaigns.reading import Tally

_DIGITS = 4
_WORDS: dict[int, Literal["no difference", "fails less at the end"]] = {
    NO_CHANGE: "no difference",
    FALLS: "fails less at the end",
}


def conclude_soak(order: CampaignOrder, tallies: Sequence[Tally]) -> list[SoakResult]:
    """Each test's failure rate so far."""
    rule = StopRule(order.until_within, order.until_below)
    return [_describe_rate(rule, tally) for tally in tallies]


def _describe_rate(rule: StopRule, tally: Tally) -> SoakResult:
    found = judge(rule, tally.failed + tally.passed, tally.failed)
    conclusion = "errors only" if ends_in_errors(tally.errored, found.n) else found.conclusion
    return SoakResult(
        test=tally.test,
        conclusion=conclusion,
        n=found.n,
        failures=found.failures,
        errors=tally.errored,
        low=round(found.bounds.low, _DIGITS),
        high=round(found.bounds.high, _DIGITS),
        runs_left=found.runs_left if conclusion == "open" else None,
    )


def summarize_conclusion(order: CampaignOrder, tallies: Sequence[Tally]) -> str:
    """What a soak or bisection has come to, in a line. With names of revisions, which people wrote."""
    if order.bisected:
        found = conclude_bisection(order, tallies)
        named = f"first bad revision {found.first_bad}, last good {found.last_good}; " if found.first_bad else ""
        return f"{named}{describe_bisection(found)}"
    rates = conclude_soak(order, tallies)
    if len(rates) == 1:
        return describe_rate(order, rates[0])
    counts = Counter(rate.conclusion for rate in rates)
    told = ", ".join(f"{count} {conclusion}" for conclusion, count in counts.items())
    return f"{len(rates)} tests: {told}; {sum(rate.n for rate in rates)} runs"


def describe_rate(order: CampaignOrder, rate: SoakResult) -> str:
    """A test's failure rate, without its name: `below 5 %: 0 of 63 runs failed, a rate of 0 to 4.9 % at 95 %`."""
    bound = f" {order.until_below * 100:g} %" if order.until_below else ""
    conclusion = f"{rate.conclusion}{bound}" if rate.conclusion in ("below", "above") else rate.conclusion
    between = f"a rate of {rate.low:.2%} to {rate.high:.2%} at 95 %" if rate.n else "of the rate nothing is known"
    return f"{conclusion}: {rate.failures} of {rate.n} runs failed, {between}"


def describe_bisection(found: BisectionResult) -> str:
    """How sure it is and how much was run, without names: `found at 95 % after 21 runs`."""
    runs = f"{sum(revision.n for revision in found.revisions)} runs"
    if found.conclusion == "open":
        return f"open after {runs}: {len(found.candidates)} candidates left"
    return f"{found.conclusion} at 95 % after {runs}"


def conclude_bisection(order: CampaignOrder, tallies: Sequence[Tally]) -> BisectionResult:
    """The first bad revision, or those that may still be it."""
    bisection = Bisection(len(tallies), [Runs(tally.failed, tally.passed) for tally in tallies])
    found = bisection.first_bad
    remaining = [candidate.first_bad for candidate in bisection.remaining]
    return BisectionResult(
        test=order.bisected,
        conclusion="open" if found is None else _WORDS.get(found, "found"),
        first_bad=tallies[found].test if found and found > 0 else "",
        last_good=tallies[found - 1].test if found and found > 0 else "",
        candidates=[tallies[index].test for index in remaining if index > 0] if found is None else [],
        revisions=[
            BisectedRevision(revision=tally.test, n=tally.failed + tally.passed, failures=tally.failed)
            for tally in tallies
            if tally.failed + tally.passed
        ],
    )
