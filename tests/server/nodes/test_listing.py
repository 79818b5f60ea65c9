"""`list_nodes` says what is not known, and leaves out what was not asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm

SPARE = "portal:stb-tester-00044b80f3ff"


def running(farm: Farm) -> dict[str, Any]:
    """The node of the job that the lab runs at first, which a colleague has started, as the portal has it."""
    return next(n for n in farm.you.get("/nodes").json() if n["job"] and n["job"]["status"] == "running")


@pytest.mark.parametrize("given", [{}, {"detail": True}])
async def test_a_running_job_says_who_started_it_and_since_when_though_another_looked_since(
    given: dict[str, Any], farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    there = running(farm)
    node, job = there["node_id"], there["job"]
    farm.you.get(f"/nodes/{node}/screenshot.png").raise_for_status()
    assert farm.you.get(f"/nodes/{node}").json()["last_used_by"] == "you"
    async with connect(farm.config) as client:
        (told,) = (await ask(client, "list_nodes", text=there["friendly_name"], **given))["nodes"]
        asked = await ask(client, "get_job", job_uid=told["job"]["job_uid"])
    assert told["job"]["started_by"] == asked["started_by"] == "colleague"
    assert told["job"]["started_at"] == asked["started_at"] == f"{job['start_time'][:19]}Z"
    assert "last_used_by" not in told
    assert "last_used_at" not in told


async def test_a_running_jobs_starter_is_not_told_where_the_portals_words_do_not_say_it(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    node = running(farm)
    words = {"not_available_reason": f"Node {node['node_id']} reserved by @johnsmith"}
    farm.fault(f"/nodes/{node['node_id']}", "GET", status=200, body=node | words)
    async with connect(farm.config) as client:
        (told,) = (await ask(client, "list_nodes", node_ids=[node["node_id"]]))["nodes"]
        job = await ask(client, "get_job", job_uid=told["job"]["job_uid"])
    assert told["job"]["started_by"] == job["started_by"] == "not told"


async def test_free_nodes_are_counted_among_those_that_match(farm: Farm, connect: Connect, ask: ToolCaller) -> None:
    async with connect(farm.config) as client:
        every = await ask(client, "list_nodes")
        found = await ask(client, "list_nodes", text="roku")
    assert found["free"] == sum(node["state"] == "free" for node in found["nodes"])
    assert found["free"] < every["free"]
    assert found["total"] == every["total"] == len(every["nodes"])


async def test_a_large_fleet_is_listed_by_pages_that_count_all_that_match(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    node = next(node for node in farm.you.get("/nodes").json() if node["available"])
    ids = [f"stb-tester-{number:012x}" for number in range(250)]
    taken = {"available": False, "not_available_reason": "Offline", "online": False}
    fleet = [node | {"node_id": name} | (taken if number % 2 else {}) for number, name in enumerate(ids)]
    farm.fault("/nodes", "GET", status=200, body=fleet, times=0)
    async with connect(farm.config) as client:
        page = await ask(client, "list_nodes")
        assert [page[count] for count in ("shown", "matching", "total", "free")] == [100, 250, 250, 125]
        found = page["nodes"]
        while page.get("cursor"):
            page = await ask(client, "list_nodes", cursor=page["cursor"])
            assert [page[count] for count in ("matching", "total", "free")] == [250, 250, 125]
            found += page["nodes"]
        free = await ask(client, "list_nodes", available=True, limit=124)
        assert [free[count] for count in ("shown", "matching", "total", "free")] == [124, 125, 250, 125]
        assert "other arguments" in await refused(client, "list_nodes", cursor=free["cursor"])
        farm.calm()
        farm.fault("/nodes", "GET", status=200, body=fleet[:200], times=0)
    async with connect(farm.config) as client:
        assert "is gone" in await refused(client, "list_nodes", available=True, limit=124, cursor=free["cursor"])
    assert [one["node_id"] for one in found] == [f"portal:{name}" for name in ids]


async def test_a_page_behind_a_node_of_a_service_that_does_not_answer_says_so_and_not_that_the_node_is_gone(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller, dead_url: str
) -> None:
    spare = farm.table.replace("services.portal", "services.spare")
    several = farm.config.replace(farm.table, farm.table + spare)
    async with connect(several) as client:
        total = (await ask(client, "list_nodes"))["total"]
        page = await ask(client, "list_nodes", limit=total - 1)
    dead = re.sub(r"(services\.spare\][^[]*?url = )[\"'][^\"']*[\"']", rf"\1'{dead_url}'", several)
    assert dead != several
    async with connect(dead) as client:
        told = await refused(client, "list_nodes", limit=total - 1, cursor=page["cursor"])
    assert "spare" in told
    assert "gone" not in told


@pytest.mark.parametrize("who", ["you", "colleague"])
async def test_a_node_that_runs_a_job_says_whether_its_reservation_is_yours(
    who: str, farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    holder = farm.you if who == "you" else farm.colleague
    farm.reserve(holder)
    farm.start(holder)
    async with connect(farm.config) as client:
        (told,) = (await ask(client, "list_nodes", node_ids=[farm.nodes[0]]))["nodes"]
    assert told["state"] == "busy"
    assert told["reservation"].get("yours", False) == (who == "you")
    assert told["reservation"].get("holder", who) == who
    assert told["job"]["started_by"] == "not told", "the portal's list names the holder only"


async def test_a_reservation_without_end_says_so(farm: Farm, connect: Connect, ask: ToolCaller) -> None:
    body = {"node_ids": [farm.nodes[0]], "message": "soak"}
    farm.colleague.post("/reservations", json=body).raise_for_status()
    async with connect(farm.config) as client:
        (told,) = (await ask(client, "list_nodes", node_ids=[farm.nodes[0]]))["nodes"]
        assert told["reservation"]["expires_at"] == "no end"
        node = farm.node()
        del node["reservation"]["expires"]
        farm.fault(f"/nodes/{farm.nodes[0]}", "GET", status=200, body=node)
        (told,) = (await ask(client, "list_nodes", node_ids=[farm.nodes[0]]))["nodes"]
    assert told["reservation"]["expires_at"] == "not told"


async def test_a_node_without_a_device_type_says_so_and_a_search_names_it(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(farm.config) as client:
        every = await ask(client, "list_nodes")
        found = await ask(client, "list_nodes", text="roku")
        free = await ask(client, "list_nodes", text="roku", available=True)
    assert [n["node_id"] for n in every["nodes"] if n["device_type"] == "unknown"] == [SPARE]
    assert {n["device_type"] for n in found["nodes"]} == {"roku"}
    assert found["note"] == f"Not among these, and of unknown device type: 1 ({SPARE!r})."
    assert "note" not in every
    assert "note" not in free, "the spare is offline"


async def test_a_licence_that_has_expired_stands_with_its_date(farm: Farm, connect: Connect, ask: ToolCaller) -> None:
    async with connect(farm.config) as client:
        nodes = (await ask(client, "list_nodes"))["nodes"]
        (expired,) = [node for node in nodes if node["state"] == "licence expired"]
    native = expired["node_id"].partition(":")[2]
    assert expired["licence_expiry"] == farm.you.get(f"/nodes/{native}").json()["licence_expiry"]
    assert not any("licence_expiry" in node for node in nodes if node is not expired)


async def test_addresses_are_told_only_when_they_are_asked_for(farm: Farm, connect: Connect, ask: ToolCaller) -> None:
    node = farm.node()
    node["config"]["device_under_test"] |= {"remote_control": "roku:192.168.7.7", "serial_number": "STB4K-000001"}
    farm.fault(f"/nodes/{farm.nodes[0]}", "GET", status=200, body=node)
    async with connect(farm.config) as client:
        (told,) = (await ask(client, "list_nodes", node_ids=[farm.nodes[0]], detail=True))["nodes"]
        (whole,) = (await ask(client, "list_nodes", node_ids=[farm.nodes[0]], addresses=True))["nodes"]
    assert told["detail"]["config"]["device_under_test"]["serial_number"] == "STB4K-000001"
    assert "192.168" not in str(told)
    assert node["geoip_city"] not in str(told)
    assert whole["detail"]["config"] == node["config"]
    assert whole["detail"]["geoip_city"] == node["geoip_city"]
    assert told["licence_expiry"] == whole["licence_expiry"] == node["licence_expiry"]


async def test_one_wrong_id_of_several_is_named_and_the_others_are_answered(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    wrong, worse = "stb-tester-00044b80f204", "rack 9: ignore\u202e all"
    async with connect(farm.config) as client:
        found = await ask(client, "list_nodes", node_ids=[farm.nodes[0], wrong, worse])
        none = await refused(client, "list_nodes", node_ids=[wrong, worse])
        taken = await refused(client, "reserve_nodes", **farm.order(node_ids=[farm.nodes[0], wrong]))
    assert [node["node_id"] for node in found["nodes"]] == [f"portal:{farm.nodes[0]}"]
    for told in (found["note"], none):
        assert told.count(wrong) == 1
        assert f'"{wrong}": portal has no such node' in told
        assert '"rack 9: ignore all": portal has no such node' in told
    assert f'portal has no such node: "{wrong}". Nothing was reserved' in taken
    assert farm.held() is None


async def test_a_run_or_revision_that_is_not_there_is_named(
    farm: Farm, connect: Connect, refused: RefusedCaller
) -> None:
    run = "/stb-tester-1/0a23/972/2026-01-01_00.00.00"
    async with connect(farm.config) as client:
        assert f'no such result: run_id "portal:{run}"' in await refused(client, "get_run", run_id=f"portal:{run}")
        assert 'no such result: run_id "portal:/x/y"' in await refused(client, "get_run", run_id="portal:/x/y")
        told = await refused(client, "list_test_cases", revision="release/9.9")
    assert 'portal has no such revision: revision "release/9.9"' in told
