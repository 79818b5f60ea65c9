"""Callers who share a service's token are still not one another: reservations, jobs, files, waits, deliveries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk, Serve

RUN = {"procedure_id": "Main board FCT", "part_number": "STB-4K", "outcome": "pass", "serial_number": "SN-apart"}
REPORT = '<testsuite timestamp="2026-11-20T08:00:00"><testcase name="a"/></testsuite>'


@pytest.fixture
def url(fresh_sim: SimLab, desk: Desk, serve: Serve, tmp_path: Path) -> str:
    callers = [
        desk.table_of("alice", access="operate"),
        desk.table_of("bob", access="operate"),
        desk.table_of("carol", access="operate", services=["portal", "cloud"]),
        desk.table_of("root", access="admin"),
    ]
    return serve(desk.everything + "".join(callers) + fresh_sim.config_toml())


async def test_a_reservation_is_its_makers(url: str, desk: Desk, ask: ToolCaller, refused: RefusedCaller) -> None:
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob") as bob:
        node = (await ask(alice, "list_nodes", available=True))["nodes"][0]["node_id"]
        made = await ask(alice, "reserve_nodes", node_ids=[node], message="m", duration_minutes=5)
        reservation = made["reservations"][0]["reservation_id"]
        seen = [(await ask(who, "list_nodes", node_ids=[node]))["nodes"][0]["state"] for who in (alice, bob)]
        assert seen == ["reserved by you", "reserved"]
        for tool, more in (("end_reservation", {}), ("extend_reservation", {"minutes": 1})):
            assert "another caller" in await refused(bob, tool, reservation_id=reservation, **more)
        assert "another caller" in await refused(bob, "press_key", node_id=node, key="KEY_OK")
        told = await refused(bob, "reserve_nodes", node_ids=[node], message="m", duration_minutes=5)
        assert f"another caller of this server: '{node}' until 20" in told
        case = (await ask(bob, "list_test_cases", revision="main"))["test_cases"][0]
        order = {"node_id": node, "test_pack_revision": "main", "test_cases": [case]}
        assert "another caller" in await refused(bob, "run_tests", **order)
        await ask(alice, "end_reservation", reservation_id=reservation)
        assert (await ask(bob, "press_key", node_id=node, key="KEY_OK"))["key"] == "KEY_OK"


async def test_after_a_lost_answer_neither_caller_is_given_the_others_reservation(
    url: str, fresh_sim: SimLab, desk: Desk, ask: ToolCaller, refused: RefusedCaller
) -> None:
    faults = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0] + "/_sim/faults"
    lost = {"service": "stbtester", "method": "POST", "path_prefix": "/api/v2/reservations"}
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob") as bob:
        node = (await ask(alice, "list_nodes", available=True))["nodes"][0]["node_id"]
        order = {"node_ids": [node], "message": "soak", "duration_minutes": 5}
        httpx2.post(faults, json={**lost, "action": "reset"}).raise_for_status()
        assert "lost" in await refused(alice, "reserve_nodes", **order)  # nothing was done
        httpx2.post(faults, json={**lost, "action": "reset-after", "times": 0, "spreads": True}).raise_for_status()
        assert "lost" in await refused(bob, "reserve_nodes", **order)  # it was done, and could not be looked up
        httpx2.delete(faults).raise_for_status()
        await refused(alice, "reserve_nodes", **order)
        (held,) = (await ask(bob, "reserve_nodes", **order))["reservations"]
        await refused(alice, "end_reservation", reservation_id=held["reservation_id"])
        seen = (await ask(bob, "list_nodes", node_ids=[node]))["nodes"][0]
        assert (seen["state"], seen["reservation"]["message"]) == ("reserved by you", "soak (bob)")


async def test_after_a_lost_answer_nobody_is_given_a_job_that_another_caller_started(
    url: str, fresh_sim: SimLab, desk: Desk, ask: ToolCaller, refused: RefusedCaller
) -> None:
    faults = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0] + "/_sim/faults"
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob") as bob:
        node = (await ask(alice, "list_nodes", available=True))["nodes"][0]["node_id"]
        case = (await ask(alice, "list_test_cases", revision="main"))["test_cases"][0]
        order = {"node_id": node, "test_pack_revision": "main", "test_cases": [case], "soak": "run forever"}
        lost = {"service": "stbtester", "method": "POST", "path_prefix": "/api/v2/run_tests", "action": "reset"}
        httpx2.post(faults, json=lost).raise_for_status()
        assert "lost" in await refused(alice, "run_tests", **order)  # nothing was started
        job = (await ask(bob, "run_tests", **order))["job_uid"]
        assert "In use by another caller" in await refused(alice, "run_tests", **order)
        assert (await ask(bob, "stop_job", job_uid=job))["stopped"]


@pytest.mark.parametrize("spelling", ["0{}", "000{}", "{}" + "0" * 5000, "+{}", "1_{}"])
async def test_a_reservation_is_its_makers_however_its_number_is_spelt(
    spelling: str, url: str, desk: Desk, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob") as bob:
        node = (await ask(alice, "list_nodes", available=True))["nodes"][0]["node_id"]
        made = await ask(alice, "reserve_nodes", node_ids=[node], message="m", duration_minutes=5)
        service, _, number = made["reservations"][0]["reservation_id"].partition(":")
        for tool, more in (("end_reservation", {}), ("extend_reservation", {"minutes": 1})):
            told = await refused(bob, tool, reservation_id=f"{service}:{spelling.format(number)}", **more)
            assert "no such reservation" in told
        assert (await ask(alice, "list_nodes", node_ids=[node]))["nodes"][0]["state"] == "reserved by you"


@pytest.mark.parametrize("job", ["/..", "/../nodes", "/a/./b", "/a//b", "/../../api/v2/jobs/a"])
async def test_an_id_that_leads_elsewhere_in_a_path_is_no_jobs(
    job: str, url: str, desk: Desk, refused: RefusedCaller
) -> None:
    async with desk.signed_in(url, "root") as root:
        for tool in ("get_job", "stop_job"):
            assert "no such run or job" in await refused(root, tool, job_uid=f"portal:{job}")


async def test_a_job_is_its_starters_below_admin(url: str, desk: Desk, ask: ToolCaller, refused: RefusedCaller) -> None:
    async with (
        desk.signed_in(url, "alice") as alice,
        desk.signed_in(url, "bob") as bob,
        desk.signed_in(url, "root") as root,
    ):
        node = (await ask(alice, "list_nodes", available=True))["nodes"][0]["node_id"]
        case = (await ask(alice, "list_test_cases", revision="main"))["test_cases"][0]
        order = {"node_id": node, "test_pack_revision": "main", "test_cases": [case], "soak": "run forever"}
        first = await ask(alice, "run_tests", **order)
        told = await refused(bob, "stop_job", job_uid=first["job_uid"])
        assert 'with [callers.bob] access = "admin"' in told
        assert (await ask(alice, "stop_job", job_uid=first["job_uid"]))["stopped"]
        second = await ask(alice, "run_tests", **order)
        job = second["job_uid"]
        assert (await ask(root, "stop_job", job_uid=job, confirm=job))["stopped"]


async def test_a_file_is_its_savers(
    url: str, desk: Desk, ask: ToolCaller, refused: RefusedCaller, tmp_path: Path
) -> None:
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob") as bob:
        saved = await ask(alice, "export_runs", service="portal", save_to="runs.xml", format="junit", since="1d")
        assert saved["saved_to"] == str(tmp_path / "files" / "alice" / "runs.xml")
        for path in ("runs.xml", saved["saved_to"], "../alice/runs.xml"):
            told = await refused(bob, "import_report", path=path)
            assert "no such file" in told or "not read there" in told
        assert "not saved there" in await refused(bob, "export_runs", service="portal", save_to="../alice/other.xml")
        theirs = await ask(bob, "export_runs", service="portal", save_to="runs.xml", format="junit", since="1d")
        assert theirs["saved_to"] == str(tmp_path / "files" / "bob" / "runs.xml")


async def test_deliveries_are_seen_by_whom_their_service_is_for(
    url: str, desk: Desk, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "carol") as carol:
        await ask(alice, "create_run", **RUN)
        mine = await ask(alice, "list_deliveries")
        assert [one["service"] for one in mine["deliveries"]] == ["factory"]
        assert "[callers.carol] services" in await refused(carol, "list_deliveries")


async def test_of_two_services_a_caller_sees_the_deliveries_of_its_own(
    fresh_sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller, refused: RefusedCaller
) -> None:
    plant = fresh_sim.services()["tofupilot"]
    other = f'[services.other]\nkind = "tofupilot"\nurl = "{plant["url"]}"\ntoken = "{plant["token"]}"\n'
    callers = desk.table_of("alice", access="operate") + desk.table_of("carol", access="operate", services=["other"])
    url = serve(desk.everything + callers + other + fresh_sim.config_toml())
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "carol") as carol:
        elsewhere = ["PSU12-000001"]  # built into another unit
        await refused(alice, "create_run", **{**RUN, "sub_units": elsewhere}, service="factory")
        await ask(alice, "create_run", **RUN, service="other")
        every, theirs = await ask(alice, "list_deliveries"), await ask(carol, "list_deliveries")
        assert sorted(one["service"] for one in every["deliveries"]) == ["factory", "other"]
        assert [one["service"] for one in theirs["deliveries"]] == ["other"]
        assert (theirs["delivered"], theirs["parked"]) == (1, 0)
        parked = next(one["delivery_id"] for one in every["deliveries"] if one["state"] == "parked")
        assert "no such delivery" in await refused(carol, "release_delivery", delivery_id=parked)


async def test_when_the_server_stops_every_callers_reservations_end(
    fresh_sim: SimLab, desk: Desk, ask: ToolCaller, connect: Connect
) -> None:
    names = ("alice", "bob")
    config = "".join(desk.table_of(name, access="operate") for name in names) + fresh_sim.config_toml()
    with desk.served(config) as url:
        for name in names:
            async with desk.signed_in(url, name) as client:
                node = (await ask(client, "list_nodes", available=True))["nodes"][0]["node_id"]
                await ask(client, "reserve_nodes", node_ids=[node], message=f"of {name}", duration_minutes=60)
    async with connect(fresh_sim.config_toml()) as client:
        nodes = (await ask(client, "list_nodes"))["nodes"]
    left = [node["reservation"].get("message", "") for node in nodes if "reservation" in node]
    assert not [message for message in left if message.startswith("of ")]
