"""Soaks and bisections, through a real client, against what is planted in the simulated test pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from testlab_sim.stbtester.test_pack import BROKEN, REVISIONS
from testlab_tools.deadline import Deadline
from testlab_tools.durable.calls import LATE_S
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server.campaigns.conftest import QUICK, Farm
from tests.server.campaigns.test_campaigns import with_campaigns
from tests.server.watches.conftest import eventually
from tests.server.watches.receiver import SECRET, ReceiverServer, Reply

NODES = ["portal:stb-tester-00044b80f101", "portal:stb-tester-00044b80f102"]

NEW = "tests/epg.py::test_that_redesigned_grid_keeps_its_place"


async def hurry(client: Client, ask: ToolCaller, farm: Farm, campaign_id: str) -> dict[str, Any]:
    """The campaign at its end, whose tests' half minutes pass at once."""
    for _ in range(120):
        now = await ask(client, "get_campaign", campaign_id=campaign_id, wait_seconds=1)
        if now["state"] not in ("queued", "running") and "still being given back" not in now.get("note", ""):
            return now
        farm.advance(30)
    raise AssertionError(now)


async def write_page(client: Client, ask: ToolCaller, campaign_id: str) -> str:
    """The report of a campaign as a page."""
    saved = await ask(client, "get_campaign", campaign_id=campaign_id, report="html", save_to=f"{campaign_id}.html")
    return Path(saved["saved_to"]).read_text(encoding="utf-8")


async def test_a_soak_ends_when_its_test_is_shown_to_fail_less_often_than_the_bound(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    held = farm.held()
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": NODES, "until_below": 0.2}
        started = await ask(client, "start_campaign", **order)
        assert "runs" not in started or started["runs"] == 0
        ended = await hurry(client, ask, farm, started["campaign_id"])
        (listed,) = (await ask(client, "list_campaigns"))["campaigns"]
        page = await write_page(client, ask, started["campaign_id"])
    assert (ended["state"], ended["note"].partition(" Its jobs")[0]) == ("finished", "Enough has run."), ended
    (soak,) = ended["soak"]
    assert (soak["test"], soak["conclusion"], soak["failures"]) == (QUICK, "below", 0)
    assert 14 <= soak["n"] == ended["by_outcome"]["pass"] <= 40
    assert soak["low"] == 0 < soak["high"] < 0.4
    assert "runs_left" not in soak
    assert listed["conclusion"].startswith(f"below 20 %: 0 of {soak['n']} runs failed, a rate of 0.00% to ")
    assert listed["conclusion"] in page
    assert farm.held() == held


async def test_a_broken_test_is_shown_early_to_fail_more_often_than_the_bound(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_pack_revision": "main", "test_cases": [BROKEN], "node_ids": NODES, "until_below": 0.05}
        started = await ask(client, "start_campaign", **order)
        ended = await hurry(client, ask, farm, started["campaign_id"])
    (soak,) = ended["soak"]
    assert soak["conclusion"] == "above"
    assert soak["low"] > 0.05
    assert soak["n"] == soak["failures"] <= 40


async def test_a_soak_by_time_ends_well_at_its_end_and_states_the_bounds(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": NODES, "repeat": 0}
        started = await ask(client, "start_campaign", **order, max_hours=0.01)
        while not (now := await ask(client, "get_campaign", campaign_id=started["campaign_id"], wait_seconds=1)).get(
            "soak", [{"n": 0}]
        )[0]["n"]:
            assert now["state"] in ("queued", "running")
        assert now["soak"][0]["conclusion"] == "open"
        await ask(client, "cancel_campaign", campaign_id=started["campaign_id"])
        ended = await hurry(client, ask, farm, started["campaign_id"])
        cancelled = await ask(client, "cancel_campaign", campaign_id=started["campaign_id"])
    assert (cancelled["runs"], cancelled["by_outcome"]) == (ended["runs"], ended["by_outcome"])
    assert cancelled["runs"] == sum(ended["by_outcome"].values())


async def test_a_bisection_finds_the_revision_that_broke_the_test_and_says_so_wherever_it_is_told(
    farm: Farm, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    hook = ReceiverServer((Reply(),))
    told = f'[notify.team]\nurl = "{hook.url}"\nsecret_env = "HOOK_SECRET"\nallow_private = true\n'
    revisions = [revision.sha for revision in sorted(REVISIONS, key=lambda revision: revision.age)]
    broken = next(revision.sha for revision in REVISIONS if revision.age == 1)
    async with connect(with_campaigns(farm.config) + told) as client:
        started = await ask(client, "bisect", test_case=BROKEN, revisions=revisions, node_ids=NODES)
        ended = await hurry(client, ask, farm, started["campaign_id"])
        (listed,) = (await ask(client, "list_campaigns"))["campaigns"]
        assert (listed["tests"], ended["tests"]) == (1, 1)
        page = await write_page(client, ask, started["campaign_id"])

        async def messages() -> object:
            return hook.messages

        await eventually(messages)
    hook.close()
    found = ended["bisection"]
    assert (found["conclusion"], found["first_bad"]) == ("found", broken), ended
    assert found["last_good"] == revisions[revisions.index(broken) - 1]
    surely = f"found at 95 % after {sum(revision['n'] for revision in found['revisions'])} runs"
    assert listed["conclusion"] == f"first bad revision {broken}, last good {found['last_good']}; {surely}"
    assert surely in page
    assert f"<td>First bad revision</td><td>{broken}</td>" in page
    assert "<h2>Every revision</h2>" in page
    assert {(failure["test"], failure["revision"] in revisions) for failure in ended["failures"]} == {(BROKEN, True)}
    data = hook.messages[0].json["data"]
    assert data["facts"]["conclusion"] == surely
    assert (data["untrusted"]["bisected"], data["untrusted"]["first bad"]) == (BROKEN, broken)
    assert any(text.startswith(f"{BROKEN} at ") for text in data["untrusted"].values())
    assert sum(revision["n"] for revision in found["revisions"]) <= 60
    ran = {row["test_pack_sha"] for row in farm.results(started["campaign_id"])}
    assert {broken, found["last_good"]} <= ran <= set(revisions)
    assert {row["test_case"] for row in farm.results(started["campaign_id"])} == {BROKEN}
    assert "failed_of" not in ended["next"], "it is of revisions"


async def test_what_failed_in_a_bisection_is_no_test_case(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_case": QUICK, "revisions": [revision.sha for revision in REVISIONS[:2]], "node_ids": NODES}
        started = await ask(client, "bisect", **order)
        await ask(client, "cancel_campaign", campaign_id=started["campaign_id"])
        refusal = await refused(client, "start_campaign", failed_of=started["campaign_id"], node_ids=NODES)
    assert "names a bisection" in refusal


async def test_revisions_with_the_bad_one_first_are_to_be_given_in_the_other_order(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    revisions = [revision.sha for revision in sorted(REVISIONS, key=lambda revision: -revision.age)]
    async with connect(with_campaigns(farm.config)) as client:
        started = await ask(client, "bisect", test_case=BROKEN, revisions=revisions, node_ids=NODES)
        ended = await hurry(client, ask, farm, started["campaign_id"])
    assert ended["bisection"]["conclusion"] == "fails less at the end", ended["bisection"]
    assert "give them in the other order" in ended["note"]


async def test_the_same_bisection_again_after_an_answer_that_came_late_is_the_same(
    farm: Farm, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {"test_case": QUICK, "revisions": [revision.sha for revision in REVISIONS[:2]], "node_ids": NODES}
    monkeypatch.setattr(Deadline, "spent_s", property(lambda _: LATE_S + 1))
    async with connect(with_campaigns(farm.config)) as client:
        first, second = [await ask(client, "bisect", **order) for _ in range(2)]
        await ask(client, "cancel_campaign", campaign_id=first["campaign_id"])
    assert first["campaign_id"] == second["campaign_id"]


@pytest.mark.parametrize(
    ("tool", "changes", "what"),
    [
        ("start_campaign", {"until_below": 0.00001}, "can never end the soak"),
        ("start_campaign", {"until_within": 0.6}, "no rate that runs can reach"),
        ("start_campaign", {"until_below": 5}, "5 % is 0.05"),
        ("start_campaign", {"until_within": 0.1, "until_below": 0.1}, "one rule to stop by"),
        ("bisect", {"revisions": ["main"]}, "2 to 256 revisions"),
        ("bisect", {"revisions": ["main", "main"]}, "1 different"),
        ("bisect", {"revisions": ["main", "no-such-revision"]}, "no-such-revision"),
        ("bisect", {"test_case": "tests/menu.py::test_nothing"}, "has no such test case"),
        (
            "bisect",
            {"test_case": NEW, "revisions": [one.sha for one in REVISIONS]},
            f'at revision "{REVISIONS[0].sha}"',
        ),
    ],
)
async def test_what_can_never_end_or_is_not_there_is_refused_before_anything_starts(
    tool: str, changes: dict[str, Any], what: str, farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    arguments: dict[str, Any] = {
        "start_campaign": {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": NODES},
        "bisect": {"test_case": QUICK, "revisions": [revision.sha for revision in REVISIONS[:2]], "node_ids": NODES},
    }[tool]
    async with connect(with_campaigns(farm.config)) as client:
        assert what in await refused(client, tool, **{**arguments, **changes})
        assert (await ask(client, "list_campaigns"))["campaigns"] == []
