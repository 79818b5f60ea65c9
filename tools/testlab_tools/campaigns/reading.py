"""What is told of campaigns: failures with their reruns, what each node did, and how long the rest will take."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.records import Campaign, CampaignNode, Rerun
from testlab_tools.campaigns.stop_rule import ends_in_errors
from testlab_tools.campaigns.store import CampaignStore, decode_campaign
from testlab_tools.models.lab import Outcome
from testlab_tools.stopping.rules import StopRule, judge

FEWEST = 3
"""Results from which a remaining time is estimated."""


class Told(NamedTuple):
    """An item's counted result, and its rerun if there was one."""

    item: int
    test: str
    outcome: Outcome
    node: str
    run_id: str
    reason: str
    started_at: float | None
    duration_s: float
    rerun: Rerun = ""
    rerun_id: str = ""
    retries: int = 0


class NodeShare(NamedTuple):
    """A node's attempts by outcome, and the native id of the job that it runs now, if it is known."""

    node: CampaignNode
    outcomes: dict[Outcome, int]
    job_uid: str = ""


class Tally(NamedTuple):
    """Counted results of a test; `errored` are those that say nothing of it."""

    test: str
    failed: int = 0
    passed: int = 0
    errored: int = 0


class Details(NamedTuple):
    """`campaign` is its row of the same moment. `remaining_s` are the bounds between which the remaining time
    lies in about 19 of 20 cases; None where too little has run to say. `running` tests are in jobs just now. `tallies`
    are those of a campaign without a fixed number of runs."""

    campaign: Campaign
    failures: list[Told]
    nodes: list[NodeShare]
    running: int
    remaining_s: tuple[float, float] | None
    tallies: Sequence[Tally]


class _Speed(NamedTuple):
    """Works in jobs that run, attempts so far, the sums of their durations and of the squares of these, the seconds in
    jobs that these took, and for how long each run is going that has not ended: a long test counts before it has."""

    running: int
    results: int
    seconds: float
    squares: float
    spent: float
    going: list[float]


class CampaignPage(NamedTuple):
    """Campaigns, newest first; `after` is where the list goes on, None at its end."""

    campaigns: list[Campaign]
    after: tuple[float, str] | None


class CampaignReader:
    """Reads campaigns for tools and reports, all as they stood at the moment of the `snapshot`. Blocks."""

    def __init__(self, store: CampaignStore, snapshot: sa.Connection) -> None:
        self._store, self._tables, self._connection = store, store.tables, snapshot

    def list(
        self,
        caller: str | None,
        services: Collection[str],
        limit: int,
        after: tuple[float, str] | None,
    ) -> CampaignPage:
        """A page of campaigns, of a caller or (None) of all."""
        table = self._tables.campaigns
        where = [table.c.service.in_(services)]
        where += [table.c.caller == caller] if caller is not None else []
        if after is not None:
            older = sa.and_(table.c.created_at == after[0], table.c.campaign_id < after[1])
            where.append(sa.or_(table.c.created_at < after[0], older))
        order = (table.c.created_at.desc(), table.c.campaign_id.desc())
        asked = sa.select(table).where(*where).order_by(*order).limit(limit + 1)
        found = [decode_campaign(row) for row in self._connection.execute(asked).mappings()]
        last = found[limit - 1] if len(found) > limit else None
        return CampaignPage(found[:limit], (last.created_at, last.campaign_id) if last else None)

    def details(self, campaign: Campaign, failures: int) -> Details:
        """What is known of a campaign, and its row as it stands beside that."""
        campaign = next(iter(self._store.read_all([campaign.campaign_id], self._connection)), campaign)
        told = list(self.results(campaign.campaign_id, ("fail", "error"), failures))
        shares = self.shares(campaign.campaign_id)
        speed = self._speed(campaign.campaign_id)
        tallies = self.tallies(campaign.campaign_id) if campaign.order.is_open else ()
        left = count_runs_left(campaign.order, tallies) if tallies else campaign.items - campaign.counted
        working = sum(share.node.state == "held" for share in shares)
        remaining = None
        if not campaign.ended and working and speed.results >= FEWEST and left is not None:
            remaining = estimate(left, working, *speed[1:])
        return Details(campaign, told, shares, speed.running, remaining, tallies)

    def results(self, campaign_id: str, outcomes: Collection[str] = (), limit: int = 0) -> Iterator[Told]:
        """Counted results in the order in which they were counted, of some outcomes or all, up to `limit` or all."""
        items, tests, attempts = self._tables.items, self._tables.tests, self._tables.attempts
        counted = attempts.alias("counted")
        asked = (
            sa.select(items.c.item, tests.c.name, items.c.outcome, items.c.rerun, counted)
            .select_from(
                items.join(
                    tests, sa.and_(tests.c.campaign_id == items.c.campaign_id, tests.c.number == items.c.test)
                ).join(
                    counted,
                    sa.and_(counted.c.campaign_id == items.c.campaign_id, counted.c.sequence == items.c.counted),
                )
            )
            .where(items.c.campaign_id == campaign_id)
            .order_by(items.c.counted)
        )
        asked = asked.where(items.c.outcome.in_(outcomes)) if outcomes else asked.where(items.c.outcome != "")
        asked = asked.limit(limit) if limit else asked
        rows = self._connection.execute(asked).mappings().all()
        shown = {row["item"] for row in rows} if limit else None
        reruns = self._extra(campaign_id, "rerun", shown)
        retried = self._extra(campaign_id, "retried", shown)
        for row in rows:
            extra = reruns.get(row["item"], [])
            yield Told(
                row["item"],
                row["name"],
                row["outcome"],
                row["node"],
                row["run_id"],
                row["reason"],
                row["started_at"],
                row["duration_s"],
                row["rerun"] if row["rerun"] != "waiting" else "",
                extra[-1] if extra else "",
                len(retried.get(row["item"], [])),
            )

    def shares(self, campaign_id: str) -> list[NodeShare]:
        """Each node the campaign has or had, the latest reservation of each."""
        attempts = self._tables.attempts
        count = sa.func.count()
        asked = (
            sa.select(attempts.c.node, attempts.c.outcome, count)
            .where(attempts.c.campaign_id == campaign_id)
            .group_by(attempts.c.node, attempts.c.outcome)
        )
        by_node: dict[str, dict[Outcome, int]] = {}
        batches = self._tables.batches.c
        runs = sa.and_(batches.campaign_id == campaign_id, batches.state == "running")
        found = self._connection.execute(sa.select(batches.node, batches.job_uid).where(runs))
        jobs: dict[str, str] = {row.node: row.job_uid for row in found}
        for node, outcome, number in self._connection.execute(asked):
            by_node.setdefault(node, {})[outcome] = number
        latest = {
            node.node: node
            for node in sorted(self._store.nodes(campaign_id, self._connection), key=lambda node: node.ticket)
        }
        return [
            NodeShare(node, by_node.get(name, {}), jobs.get(name, "") if node.state == "held" else "")
            for name, node in sorted(latest.items())
        ]

    def tallies(self, campaign_id: str) -> Sequence[Tally]:
        """What every test came to, in the order of the tests."""
        items, tests = self._tables.items.c, self._tables.tests.c
        mine = sa.and_(items.campaign_id == campaign_id, items.outcome != "")
        asked = sa.select(items.test, items.outcome, sa.func.count()).where(mine).group_by(items.test, items.outcome)
        named = sa.select(tests.name).where(tests.campaign_id == campaign_id).order_by(tests.number)
        found = dict(enumerate(Tally(name) for name in self._connection.execute(named).scalars()))
        for test, outcome, count in self._connection.execute(asked):
            tally = found[test]
            match outcome:
                case "pass":
                    found[test] = tally._replace(passed=count)
                case "fail":
                    found[test] = tally._replace(failed=count)
                case _:
                    found[test] = tally._replace(errored=tally.errored + count)
        return tuple(found.values())

    def not_run(self, campaign_id: str, limit: int) -> list[tuple[str, int]]:
        """Test cases with runs that have no result, in the order of the tests, and how many each."""
        items, tests = self._tables.items, self._tables.tests
        same = sa.and_(tests.c.campaign_id == items.c.campaign_id, tests.c.number == items.c.test)
        asked = (
            sa.select(tests.c.name, sa.func.count())
            .select_from(items.join(tests, same))
            .where(items.c.campaign_id == campaign_id, items.c.outcome == "")
            .group_by(tests.c.number, tests.c.name)
            .order_by(tests.c.number)
            .limit(limit)
        )
        return [(row[0], row[1]) for row in self._connection.execute(asked)]

    def failed_tests(self, campaign_id: str) -> list[str]:
        """Test cases with a counted failure or error, each once."""
        return list(dict.fromkeys(told.test for told in self.results(campaign_id, ("fail", "error"))))

    def _extra(self, campaign_id: str, kind: str, items: Collection[int] | None) -> dict[int, list[str]]:
        """Runs by item of attempts that do not count, of some items or (None) of all."""
        table = self._tables.attempts.c
        asked = sa.select(table.item, table.run_id).where(table.campaign_id == campaign_id, table.kind == kind)
        asked = asked.where(table.item.in_(items)) if items is not None else asked
        found: dict[int, list[str]] = {}
        for item, run_id in self._connection.execute(asked.order_by(table.sequence)):
            found.setdefault(item, []).append(run_id)
        return found

    def _speed(self, campaign_id: str) -> _Speed:
        attempts, batches = self._tables.attempts.c, self._tables.batches
        length = attempts.duration_s
        asked = sa.select(sa.func.count(), sa.func.sum(length), sa.func.sum(length * length)).where(
            attempts.campaign_id == campaign_id
        )
        spent = sa.select(sa.func.sum(batches.c.ended_at - batches.c.intended_at)).where(
            batches.c.campaign_id == campaign_id, batches.c.state == "ended"
        )
        mine = sa.and_(attempts.campaign_id == batches.c.campaign_id, attempts.batch == batches.c.batch)
        told = sa.select(sa.func.count()).where(mine).correlate(batches).scalar_subquery()
        took = sa.select(sa.func.sum(length)).where(mine).correlate(batches).scalar_subquery()
        opened = sa.select(batches.c.works, batches.c.intended_at, told, took).where(
            batches.c.campaign_id == campaign_id, batches.c.state == "running"
        )
        results, seconds, squares = self._connection.execute(asked).one()
        ended: Any = self._connection.execute(spent).scalar_one()
        jobs = [(str(works).count("[") - 1, *more) for works, *more in self._connection.execute(opened)]
        now = time.time()
        going = [max(0.0, now - begin - (done_s or 0.0)) for works, begin, done, done_s in jobs if done < works]
        in_jobs = (ended or 0.0) + sum(done_s or 0.0 for *_, done_s in jobs)
        return _Speed(sum(works for works, *_ in jobs), results, seconds or 0.0, squares or 0.0, in_jobs, going)


def count_runs_left(order: CampaignOrder, tallies: Sequence[Tally]) -> int | None:
    """How many more runs a soak takes, if they fail as often as those so far; None where no number is near, and for a
    bisection."""
    if order.bisected:
        return None
    rule = StopRule(order.until_within, order.until_below)
    hopeful = [tally for tally in tallies if not ends_in_errors(tally.errored, tally.failed + tally.passed)]
    left = [judge(rule, tally.failed + tally.passed, tally.failed).runs_left for tally in hopeful]
    return None if None in left else sum(filter(None, left))


def estimate(
    left: int,
    nodes: int,
    results: int,
    seconds: float,
    squares: float,
    spent: float,
    going: Sequence[float] = (),
) -> tuple[float, float]:
    """Bounds of the time that `left` runs take on so many nodes, from the mean and the spread of `results` runs that
    took `seconds` in all, and from the time that jobs took around them. The runs that are `going`, for so many seconds,
    are some of those left, or where fewer are, those that have taken longest are these: their time is off what is left,
    and one that takes longer than the mean raises it. The last round takes as long as a run, however many nodes rest.

    >>> estimate(left=100, nodes=5, results=50, seconds=500.0, squares=5000.0, spent=600.0)
    (240.0, 240.0)
    """
    left = left or len(going)
    if not left:
        return 0.0, 0.0
    going = sorted(going, reverse=True)[:left]
    rounds = math.ceil(left / nodes)
    mean = seconds / results
    deviation = math.sqrt(max(0.0, squares / results - mean * mean))
    cost = max(mean, spent / results)
    long = [each for each in going if each >= cost]
    others = max(0, left - len(long))
    done = sum(each for each in going if each < cost)
    # The first runs to end are the shortest: one that is going has its end now at best, and may take as long again.
    least, most = (
        others * (results * cost + times * sum(long)) / (results + len(long)) - done + (times - 1) * sum(long)
        for times in (1, 2)
    )
    # Both the mean of what has run and the sum of what is left vary.
    spread = 2 * deviation * math.sqrt(others + others * others / results)
    return max(0.0, least - spread) * rounds / left, max(0.0, most + spread) * rounds / left
