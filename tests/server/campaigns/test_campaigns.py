"""Campaigns from their order to their end, through a real client."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from testlab_tools.campaigns.pace import Pace
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server.campaigns.conftest import QUICK, Farm, finish

SLOW = "tests/soak.py::test_that_box_survives_ten_minutes_of_zapping"


def with_campaigns(config: str, access: str = "operate") -> str:
    """The config with all toolsets on."""
    return f'[server]\ntoolsets = ["all"]\naccess = "{access}"\n' + config


async def test_every_test_has_one_result_and_every_node_is_given_back(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    held = farm.held()
    async with connect(with_campaigns(farm.config)) as client:
        names = (await ask(client, "list_test_cases", revision="main", limit=12))["test_cases"]
        order = {"test_pack_revision": "main", "test_cases": names, "device_type": "stb4k", "repeat": 2, "retries": 3}
        started = await ask(client, "start_campaign", **order, message="Nightly")
        assert (started["state"], started["runs"]) == ("queued", 24)
        ended = await finish(client, ask, started["campaign_id"])
        listed = await ask(client, "list_campaigns")
    assert ended["state"] == "finished", ended
    assert (sum(ended["by_outcome"].values()), ended.get("not_run", 0)) == (24, 0)
    ran = farm.ran(started["campaign_id"])
    assert set(ran) == set(names)
    assert (sum(ran.values()), min(ran.values())) == (24 + ended.get("reruns", {}).get("retried", 0), 2)
    assert farm.held() == held
    assert {node["state"] for node in ended["nodes"]} <= {"given back", "dropped"}
    assert [(row["campaign_id"], row["runs"]) for row in listed["campaigns"]] == [(started["campaign_id"], 24)]


async def test_a_node_without_a_picture_is_dropped_and_its_tests_run_elsewhere(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(with_campaigns(farm.config)) as client:
        names = (await ask(client, "list_test_cases", revision="main", limit=12))["test_cases"]
        order = {"test_pack_revision": "main", "test_cases": names[2:8], "repeat": 4, "retries": 3}
        nodes = [f"stb-tester-00044b80f10{n}" for n in (1, 2, 4)]
        started = await ask(client, "start_campaign", **order, node_ids=nodes)
        ended = await finish(client, ask, started["campaign_id"])
    dropped = [node for node in ended["nodes"] if node["state"] == "dropped"]
    assert [node["node_id"] for node in dropped] == ["portal:stb-tester-00044b80f104"]
    assert "ended in errors" in dropped[0]["why"]
    assert ended["reruns"]["retried"] >= dropped[0]["by_outcome"]["error"] > 0
    assert "error" not in ended["by_outcome"]


@pytest.mark.parametrize("others", [["stb-tester-00044b80f101", "stb-tester-00044b80f102"], []])
async def test_a_node_that_fails_at_the_equipment_in_most_runs_is_dropped_but_for_the_only_one(
    others: list[str], farm: Farm, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.campaigns.campaigns.Pace", lambda: Pace(max_bad=1000))
    bad = "stb-tester-00044b80f104"
    async with connect(with_campaigns(farm.config)) as client:
        names = (await ask(client, "list_test_cases", revision="main", limit=12))["test_cases"]
        order = {"test_pack_revision": "main", "test_cases": names[2:8], "repeat": 4 if others else 2, "retries": 3}
        started = await ask(client, "start_campaign", **order, node_ids=[*others, bad])
        ended = await finish(client, ask, started["campaign_id"])
    (node,) = [node for node in ended["nodes"] if node["node_id"] == f"portal:{bad}"]
    assert node["state"] == ("dropped" if others else "given back")
    assert node["why"].startswith("Kept, as it is the only one: ") != bool(others)
    assert "of its last" in node["why"]
    assert "runs failed at the equipment: no picture from the device" in node["why"]


async def test_a_test_that_ends_every_job_gives_up_no_node_and_counts_as_an_error(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    nodes = ["stb-tester-00044b80f101", "stb-tester-00044b80f102"]
    stopped = set[str]()
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_pack_revision": "main", "test_cases": [SLOW], "node_ids": nodes, "repeat": 4, "retries": 0}
        started = await ask(client, "start_campaign", **order)
        now = started
        while now["state"] in ("queued", "running"):
            for job in set(farm.jobs_of(started["campaign_id"])) - stopped:
                farm.you.put(f"/jobs{job}/stop").raise_for_status()
                stopped.add(job)
            now = await ask(client, "get_campaign", campaign_id=started["campaign_id"], wait_seconds=1)
        ended = await finish(client, ask, started["campaign_id"])
    assert (ended["state"], ended["by_outcome"]) == ("finished", {"error": 4})
    assert {node["state"] for node in ended["nodes"]} == {"given back"}


async def test_a_failure_is_confirmed_by_a_rerun_that_does_not_count(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(with_campaigns(farm.config)) as client:
        names = (await ask(client, "list_test_cases", revision="main", limit=50))["test_cases"]
        started = await ask(
            client,
            "start_campaign",
            test_pack_revision="main",
            test_cases=[names[0], names[18]],
            node_ids=["portal:stb-tester-00044b80f101", "portal:stb-tester-00044b80f102"],
            repeat=4,
            confirm_failures=True,
        )
        ended = await finish(client, ask, started["campaign_id"])
        report = {"campaign_id": started["campaign_id"], "report": "junit", "save_to": "night.xml"}
        xml = Path((await ask(client, "get_campaign", **report))["saved_to"])
        report |= {"report": "html", "save_to": "night.html"}
        page = Path((await ask(client, "get_campaign", **report))["saved_to"]).read_text(encoding="utf-8")
        again = await ask(
            client,
            "start_campaign",
            failed_of=started["campaign_id"],
            node_ids=["portal:stb-tester-00044b80f101"],
        )
        repeated = await ask(client, "get_campaign", campaign_id=again["campaign_id"])
        await ask(client, "cancel_campaign", campaign_id=again["campaign_id"])
    assert sum(ended["by_outcome"].values()) == 8
    assert f"run commit {repeated['test_pack_revision']}" in ended["note"], "of which its failures are"
    reruns = Counter(failure["rerun"] for failure in ended["failures"] if failure["outcome"] == "fail")
    assert reruns["confirmed"] == ended["reruns"]["confirmed"] > 0, "one of them always fails"
    assert sum(reruns.values()) == ended["by_outcome"]["fail"]
    extra = ended["reruns"].get("retried", 0) + ended["by_outcome"]["fail"]
    assert len(farm.results(started["campaign_id"])) == 8 + extra
    suites = ElementTree.parse(xml).getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("8", str(ended["by_outcome"]["fail"]))
    assert len(suites.findall("testsuite/testcase")) == 8
    assert page.count('<span class="confirmed">') == reruns["confirmed"]
    assert all(failure["run_id"] in page for failure in ended["failures"])
    assert again["runs"] == len({failure["test"] for failure in ended["failures"]})


async def test_a_cancelled_campaign_stops_its_jobs_and_keeps_what_has_finished(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    held = farm.held()
    async with connect(with_campaigns(farm.config)) as client:
        node = farm.free("stb4k")[0]
        started = await ask(
            client,
            "start_campaign",
            test_pack_revision="main",
            test_cases=[QUICK, SLOW],
            node_ids=[f"portal:{node}"],
        )
        job = ""
        while not job:
            now = await ask(client, "get_campaign", campaign_id=started["campaign_id"], wait_seconds=1)
            assert now["state"] in ("queued", "running")
            job = now["nodes"][0].get("job_uid", "") if now.get("by_outcome") else ""
        slow = await ask(client, "get_job", job_uid=job)
        await ask(client, "cancel_campaign", campaign_id=started["campaign_id"])
        ended = await finish(client, ask, started["campaign_id"])
        told = await ask(client, "cancel_campaign", campaign_id=started["campaign_id"])
        for report in ("junit", "html"):
            asked = {"campaign_id": started["campaign_id"], "report": report, "save_to": f"cancelled.{report}"}
            page = Path((await ask(client, "get_campaign", **asked))["saved_to"]).read_text(encoding="utf-8")
            assert SLOW in page, "what was not run is named"
    assert (told["runs"], told["by_outcome"], told["not_run"]) == (2, ended["by_outcome"], ended["not_run"])
    assert slow["node_id"] == f"portal:{node}"
    assert job.removeprefix("portal:") in farm.jobs_of(started["campaign_id"])
    assert "job_uid" not in ended["nodes"][0]
    assert (ended["state"], ended["by_outcome"], ended["not_run"]) == ("cancelled", {"pass": 1}, 1)
    assert farm.held() == held
    assert node in farm.free(), "its job was stopped"


async def test_a_node_that_goes_offline_leaves_its_tests_to_another(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(with_campaigns(farm.config)) as client:
        gone, other = "stb-tester-00044b80f101", "stb-tester-00044b80f102"
        started = await ask(
            client,
            "start_campaign",
            test_pack_revision="main",
            test_cases=[QUICK],
            node_ids=[gone, other],
            repeat=30,
        )
        while gone not in str(farm.jobs_of(started["campaign_id"])):
            await ask(client, "get_campaign", campaign_id=started["campaign_id"], wait_seconds=1)
        farm.set_node(gone, online=False)
        ended = await finish(client, ask, started["campaign_id"])
    assert (ended["state"], ended["by_outcome"]) == ("finished", {"pass": 30})
    assert farm.ran(started["campaign_id"]) == {QUICK: 30}
    (dropped,) = [node for node in ended["nodes"] if node["state"] == "dropped"]
    assert (dropped["node_id"], dropped["why"]) == (f"portal:{gone}", "It is offline.")


async def test_the_same_call_while_its_campaign_goes_on_starts_no_second_and_says_how_to(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    order = {"test_pack_revision": "main", "test_cases": [QUICK], "device_type": "roku", "repeat": 0}
    async with connect(with_campaigns(farm.config)) as client:
        first, again = [await ask(client, "start_campaign", **order) for _ in range(2)]
        other = await ask(client, "start_campaign", **order, message="A second one")
        for campaign_id in (first["campaign_id"], other["campaign_id"]):
            await ask(client, "cancel_campaign", campaign_id=campaign_id)
        after = await ask(client, "start_campaign", **order)
        await ask(client, "cancel_campaign", campaign_id=after["campaign_id"])
    assert first["campaign_id"] == again["campaign_id"]
    assert "note" not in first
    assert again["note"].startswith("The same call before started it, and nothing was started now. For another,")
    assert len({first["campaign_id"], other["campaign_id"], after["campaign_id"]}) == 3


async def test_the_same_call_again_after_a_lost_answer_starts_no_second_campaign(
    farm: Farm, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.durable.calls.LATE_S", 0.0)
    order = {"test_pack_revision": "main", "test_cases": [QUICK], "device_type": "roku", "repeat": 3}
    async with connect(with_campaigns(farm.config)) as client:
        first = await ask(client, "start_campaign", **order)
        second = await ask(client, "start_campaign", **order)
        other = await ask(client, "start_campaign", **{**order, "repeat": 2})
        for campaign_id in (first["campaign_id"], other["campaign_id"]):
            ended = await finish(client, ask, campaign_id)
            assert ended["state"] == "finished"
    assert first["campaign_id"] == second["campaign_id"] != other["campaign_id"]
    assert len(farm.results(first["campaign_id"])) == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"test_pack_revision": "nonsense"}, "no such revision"),
        ({"test_cases": ["tests/menu.py::test_that_menu_apears"]}, "no such test case"),
        ({"test_cases": []}, "Give one of test_cases, all_tests and failed_of"),
        ({"all_tests": True}, "Give one of test_cases, all_tests and failed_of"),
        ({"test_cases": [], "all_tests": True, "repeat": 5000}, "at most 100,000"),
        ({"device_type": "stb4l"}, "Did you mean 'stb4k'?"),
        ({"device_type": "zx81"}, "Types there are: appletv, firetv, roku, stb4k."),
        (
            {"device_type": "AppleTV"},
            'has expired: device_type "AppleTV". One would wait for ever. Types with a licence',
        ),
        ({"device_type": "", "node_ids": ["stb-tester-00044b80f999"]}, "no node"),
        ({"device_type": "", "node_ids": ["stb-tester-00044b80f302"]}, "The licence of that node has expired"),
        ({"device_type": ""}, "Give either node_ids or device_type"),
        ({"node_count": 40}, "has 5 nodes of that device type"),
        ({"tags": {"testlab-campaign": "x"}}, "the campaign's own"),
        ({"service": "factory"}, "cannot do this"),
    ],
)
async def test_what_can_never_run_is_refused_before_anything_is_written(
    changes: dict[str, object], says: str, farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    order = {"test_pack_revision": "main", "test_cases": [QUICK], "device_type": "stb4k", "service": "portal"}
    async with connect(with_campaigns(farm.config)) as client:
        assert says in await refused(client, "start_campaign", **{**order, **changes})
        assert (await ask(client, "list_campaigns"))["campaigns"] == []


async def test_without_stored_work_there_are_no_campaigns(farm: Farm, connect: Connect, refused: RefusedCaller) -> None:
    config = with_campaigns(farm.config).replace("[durable]", "[durable]\nenabled = false")
    async with connect(config) as client:
        assert "[durable] enabled" in await refused(client, "list_campaigns")
