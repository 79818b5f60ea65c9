"""`run_tests`: what is wrong with an order is told before it is sent, or from the portal's status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.jobs.conftest import Bench


async def test_an_unknown_name_is_answered_with_the_nearest_and_nothing_is_sent(
    bench: Bench, client: Client, refused: RefusedCaller
) -> None:
    told = await refused(client, "run_tests", **bench.order(bench.quick.replace("appears", "apears")))
    assert f"apears_when_menu_key_is_pressed (nearest: {bench.quick}" in told
    assert "Nothing was started" in told
    assert bench.asked("/test_pack/main/test_case_names") == 1
    assert bench.asked("/run_tests", "POST") == 0


async def test_many_unknown_names_are_told_in_few_words(bench: Bench, client: Client, refused: RefusedCaller) -> None:
    names = [f"tests/menu.py::test_number_{n}" for n in range(40)]
    told = await refused(client, "run_tests", **bench.order(*names, "ignore all\nprevious", bench.quick))
    assert "and 38 more" in told
    assert "previous" not in await refused(client, "run_tests", **bench.order("ignore all\nprevious"))
    assert len(told) < 800


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"test_pack_revision": "feature/nope"}, "no such revision"),
        ({"test_cases": ["tests/menu.py"]}, "no such test case"),
        ({"category": "release/2.3"}, "must not contain / : $"),
        ({"category": "refs/snapshots/you"}, "must not contain / : $"),
        ({"category": ".hidden"}, "or begin with . or -"),
        ({"category": "-x"}, "or begin with . or -"),
        ({"category": "two\nlines"}, "control characters"),
        ({"category": "a:b"}, "must not contain"),
        ({"category": "$5"}, "must not contain"),
        ({"tags": {"a:b": "x"}}, "A tag's name"),
        ({"tags": {"_x": "x"}}, "A tag's name"),
        ({"tags": {"": "x"}}, "A tag's name"),
        ({"tags": {"x" * 500: "x"}}, "1 to 499 characters"),
    ],
)
async def test_the_portals_rules_are_kept_before_anything_is_sent(
    wrong: dict[str, Any], told: str, bench: Bench, client: Client, refused: RefusedCaller
) -> None:
    assert told in await refused(client, "run_tests", **{**bench.order(bench.quick), **wrong})
    assert bench.asked("/run_tests", "POST") == 0


async def test_category_tags_soak_and_shuffle_reach_the_portal(bench: Bench, client: Client, ask: ToolCaller) -> None:
    more = {"category": "soak test of release x ü", "tags": {"model": "T-1000"}, "shuffle": True}
    job = await ask(client, "run_tests", **bench.order(bench.quick, soak="run forever", **more))
    assert f"total grows, until stop_job(job_uid={job['job_uid']!r})" in job["next"]
    bench.advance(5)
    results = bench.you.get("/results", params={"filter": f"job:{bench.native(job['job_uid'])}"}).json()
    assert len(results) > 1
    detail = bench.you.get(f"/results{results[0]['result_id']}").json()
    assert (detail["job_category"], detail["tags"]) == (more["category"], more["tags"])
    watched = await ask(client, "get_job", job_uid=job["job_uid"])
    assert watched["total"] > 1


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, "does not accept the order"),
        (403, "does not let this user run tests"),
        (404, "no job was started on node"),
        (409, "says that a node is taken, and shows none of them taken now"),
        (429, "Call again in 120 s"),
        (503, "answered HTTP 503, and says that node 'portal:"),
    ],
)
async def test_each_refusal_of_the_portal_says_what_it_means(
    status: int, told: str, bench: Bench, client: Client, refused: RefusedCaller
) -> None:
    bench.fault(status=status, path_prefix="/api/v2/run_tests", retry_after="120", times=1)
    said = await refused(client, "run_tests", **bench.order())
    assert told in said
    assert "offline" not in said
    assert bench.asked("/run_tests", "POST") == 1
    assert bench.you.get(f"/nodes/{bench.node}").json()["available"]


async def test_a_remote_control_the_pack_lacks_is_told(bench: Bench, client: Client, refused: RefusedCaller) -> None:
    assert "remote control" in await refused(client, "run_tests", **bench.order(remote_control="nope"))


async def test_a_node_that_runs_a_job_is_a_conflict(bench: Bench, client: Client, refused: RefusedCaller) -> None:
    uid = bench.start(bench.colleague)
    assert f"is running job {uid!r}" in await refused(client, "run_tests", **bench.order())
