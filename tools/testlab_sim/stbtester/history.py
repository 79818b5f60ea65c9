"""What the portal remembers: about ten weeks of nightly and daytime jobs, begun before the lab was opened."""

from __future__ import annotations

from collections.abc import Iterator

from testlab_sim.seeded_random import chance
from testlab_sim.stbtester.jobs import Job
from testlab_sim.stbtester.nodes import BUSY, OFFLINE, UNLICENSED, UPDATING, Node
from testlab_sim.stbtester.test_pack import CURRENT, OVERNIGHT, RELEASED, SLOW, Revision

DAYS = 70
_DAY = 86400.0
_HOUR = 3600.0
_MERGED_DAYS_AGO = 18
"""When the main branch moved to the revision that broke a test case."""
_SERIALS = tuple(f"STB4K-{n:06d}" for n in range(1, 41))
_USERS = ("you", "colleague", "colleague")
_CATEGORIES = ("default", "bug hunt", "soak test of release 2.4", "driver bring-up")


def seeded_jobs(nodes: list[Node], seed: int, now: float) -> list[Job]:
    """Every earlier job, oldest first, and the one that is running now. Deterministic but for the day it is asked."""
    midnight = now - now % _DAY
    jobs: list[Job] = []
    for days_ago in range(DAYS, 0, -1):
        day = midnight - days_ago * _DAY
        for node in nodes:
            if _in_use(node, days_ago):
                jobs.extend(_jobs_of(node, day, days_ago, seed))
    busy = next(node for node in nodes if node.friendly_name == BUSY)
    jobs.append(_overnight(busy, seed, now))
    return jobs


def _in_use(node: Node, days_ago: int) -> bool:
    """Since when a node is out of service."""
    if node.external_ip is None:
        return False
    limits = {OFFLINE: 6, UNLICENSED: 13, UPDATING: 2}
    return days_ago > limits.get(node.friendly_name or "", 0)


def _jobs_of(node: Node, day: float, days_ago: int, seed: int) -> Iterator[Job]:
    revision = CURRENT if days_ago <= _MERGED_DAYS_AGO else RELEASED
    if node.friendly_name in ("Rack 1, Node 1", "Rack 1, Node 4"):
        yield _nightly(node, day, days_ago, revision, seed)
    if chance(seed, node.node_id, days_ago, "daytime") < 0.27:
        yield _daytime(node, day, days_ago, revision, seed)


def _nightly(node: Node, day: float, days_ago: int, revision: Revision, seed: int) -> Job:
    week = days_ago // 7
    tags = {
        "serial": node.serial if week == 0 else _SERIALS[int(chance(seed, node.node_id, week) * len(_SERIALS))],
        "firmware": "2.4.1" if days_ago <= 25 else "2.3.0",
        "jenkins/BUILD_ID": str(1400 - days_ago),
    }
    cases = [name for name in revision.cases if name not in (SLOW, OVERNIGHT)]
    return _job(node, "nightly", revision, cases, day + 1.5 * _HOUR, seed, "nightly", tags)


def _daytime(node: Node, day: float, days_ago: int, revision: Revision, seed: int) -> Job:
    key = (seed, node.node_id, days_ago)
    names = [name for name in revision.cases if name != OVERNIGHT]
    count = 3 + int(chance(*key, "count") * 9)
    first = int(chance(*key, "first") * (len(names) - count))
    user = _USERS[int(chance(*key, "user") * len(_USERS))]
    category = _CATEGORIES[int(chance(*key, "category") * len(_CATEGORIES))]
    start = day + (8 + 9 * chance(*key, "hour")) * _HOUR
    tags = {"serial": node.serial} if node.serial and chance(*key, "tagged") < 0.5 else {}
    return _job(node, user, revision, names[first : first + count], start, seed, category, tags)


def _overnight(node: Node, seed: int, now: float) -> Job:
    names = [*list(CURRENT.cases)[:3], OVERNIGHT]
    tags = {"serial": node.serial}
    return _job(node, "colleague", CURRENT, names, now - 1.4 * _HOUR, seed, "soak test of release 2.4", tags)


def _job(
    node: Node,
    username: str,
    revision: Revision,
    cases: list[str],
    start: float,
    seed: int,
    category: str,
    tags: dict[str, str],
) -> Job:
    node.used(username, start)
    return Job(
        uid=node.next_job_uid(),
        node_id=node.node_id,
        username=username,
        revision=revision,
        branch="refs/heads/main",
        test_cases=cases,
        start=start,
        pace=1.0,
        seed=seed,
        category=category,
        tags=tags,
        remote_control=node.device_type or "",
        picture_until=node.picture_until,
    )
