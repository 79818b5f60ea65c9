"""Services that take each caller's own token: without it an error, with it theirs alone, and no other ever instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from testlab_mcp.access.callers import Caller
from testlab_mcp.access.scopes import MAX_PER_CALLER, ScopeCache
from testlab_mcp.commands.simlab import SimLab
from testlab_tools.files.folders import Folders
from testlab_tools.lab import Lab
from testlab_tools.services import load_kind
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.service_samples import SERVICE_SAMPLES
from tests.tool_calls import BENCH
from tests.tool_samples import SAMPLES, SIMULATED

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk, Serve

RUN = {"procedure_id": "Main board FCT", "part_number": "STB-4K", "outcome": "pass", "serial_number": "SN-own"}
ASKING = [sample.tool for sample in SIMULATED.values() if sample.services]
"""The tools that ask a service, and not only this server's own database."""


def theirs(sim: SimLab) -> str:
    """The simulated lab's config, its services without tokens of their own."""
    config = re.sub(r"^token = .*$", 'credentials = "caller"', sim.config_toml(), flags=re.MULTILINE)
    return re.sub(r"\[durable\]\npath = .*\n", "", config)


@pytest.fixture(scope="module")
def url(sim: SimLab, desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("own")
    places = f"[files]\nsave_to = ['{folder / 'files'}']\n[durable]\npath = '{folder / 'deliveries.sqlite'}'\n"
    callers = desk.table_of("alice", access="admin") + desk.table_of("bob", access="admin")
    bench = SERVICE_SAMPLES[BENCH].table("http://127.0.0.1:1", credentials="caller")
    with desk.served(desk.everything + places + callers + theirs(sim) + bench) as at:
        yield at


def test_every_tool_that_asks_a_service_is_tried() -> None:
    of_the_database = {"list_deliveries", "release_delivery", "list_campaigns", "get_campaign", "cancel_campaign"}
    assert {*ASKING} | of_the_database == SIMULATED.keys()


@pytest.mark.parametrize("brought", ["", "X" * 9000])
@pytest.mark.parametrize("tool", ASKING)
async def test_without_a_token_every_tool_says_what_to_send(
    tool: str, brought: str, url: str, desk: Desk, refused: RefusedCaller
) -> None:
    if brought and tool != "list_nodes":
        brought = ""
    headers = {"X-Testlab-Portal-Token": brought} if brought else {}
    async with desk.signed_in(url, "alice", headers=headers) as client:
        told = await refused(client, tool, **SAMPLES[tool].fictional_call())
    assert "takes each caller's own token, and this call brought none that can be used" in told
    assert re.search(r"in the header X-Testlab-(Portal|Factory|Cloud|Bench)-Token", told)


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_each_caller_is_known_to_the_service_by_its_own_token(
    era: str, fresh_sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller, refused: RefusedCaller
) -> None:
    tokens = fresh_sim.services()["stbtester"]
    callers = desk.table_of("alice", access="operate") + desk.table_of("bob", access="operate")
    url = serve(callers + theirs(fresh_sim))
    ours, others = ({"X-Testlab-Portal-Token": tokens[key]} for key in ("token", "colleague_token"))
    async with desk.signed_in(url, "alice", era, ours) as alice, desk.signed_in(url, "bob", era, others) as bob:
        node = (await ask(alice, "list_nodes", available=True))["nodes"][0]["node_id"]
        made = await ask(alice, "reserve_nodes", node_ids=[node], message="m", duration_minutes=5)
        reservation = made["reservations"][0]["reservation_id"]
        states = [(await ask(who, "list_nodes", node_ids=[node]))["nodes"][0]["state"] for who in (alice, bob)]
        assert states == ["reserved by you", "reserved"]
        assert "held by you" in await refused(bob, "end_reservation", reservation_id=reservation)
        assert (await ask(alice, "end_reservation", reservation_id=reservation))["ended"]


async def test_a_wrong_token_is_the_callers_error_and_the_config_is_not_fallen_back_on(
    sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller, refused: RefusedCaller
) -> None:
    """One service with the config's token, one with the caller's: neither header nor config helps out the other."""
    portal = sim.services()["stbtester"]
    table = f'kind = "stbtester"\nurl = "{portal["url"]}"\n'
    config = f'[services.shared]\n{table}token = "{portal["token"]}"\n[services.own]\n{table}credentials = "caller"\n'
    url = serve(desk.table_of("alice") + config)
    right, wrong = {"X-Testlab-Own-Token": portal["token"]}, {"X-Testlab-Own-Token": "wr0ng-t0ken"}
    async with desk.signed_in(url, "alice", headers=wrong) as client:
        told = await refused(client, "list_runs", service="own")
        assert "refuses" in told
        assert "wr0ng-t0ken" not in told
        assert (await ask(client, "list_runs", service="shared", limit=1))["runs"]
    async with desk.signed_in(url, "alice", headers={"X-Testlab-Shared-Token": "wr0ng-t0ken", **right}) as client:
        for service in ("shared", "own"):
            assert (await ask(client, "list_runs", service=service, limit=1))["runs"]
    async with desk.signed_in(url, "alice", headers={"X-Testlab-Shared-Token": portal["token"]}) as client:
        assert "brought none" in await refused(client, "list_runs", service="own")


async def test_one_callers_answer_is_no_other_callers(
    url: str, desk: Desk, sim: SimLab, ask: ToolCaller, refused: RefusedCaller
) -> None:
    token = {"X-Testlab-Portal-Token": sim.services()["stbtester"]["token"]}
    async with desk.signed_in(url, "alice", headers=token) as alice, desk.signed_in(url, "bob") as bob:
        assert (await ask(alice, "list_runs", service="portal", limit=3))["runs"]
        assert "brought none" in await refused(bob, "list_runs", service="portal", limit=3)
        assert (await ask(alice, "list_runs", service="portal", limit=3))["runs"]


async def test_a_run_is_sent_at_once_and_its_token_not_written_down(
    fresh_sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller, refused: RefusedCaller, tmp_path: Path
) -> None:
    url = serve(desk.everything + desk.table_of("alice", access="admin") + theirs(fresh_sim))
    token = fresh_sim.services()["tofupilot"]["token"]
    async with desk.signed_in(url, "alice", headers={"X-Testlab-Factory-Token": token}) as alice:
        created = await ask(alice, "create_run", **RUN)
        assert created["run_id"].startswith("factory:")
        assert "Sent at once" in created["note"]
        assert (await ask(alice, "list_deliveries"))["delivered"] == 0
    assert not any(token.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_over_stdio_such_a_service_says_where_its_token_can_be_sent(
    sim: SimLab, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(theirs(sim)) as client:
        assert "send it over HTTP" in await refused(client, "list_nodes")


async def test_on_this_machine_without_sign_in_the_header_is_read_as_well(
    sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller
) -> None:
    token = sim.services()["stbtester"]["token"]
    async with desk.signed_in(serve(theirs(sim)), headers={"X-Testlab-Portal-Token": token}) as client:
        assert (await ask(client, "list_nodes"))["nodes"]


async def test_no_caller_can_have_any_number_of_rooms_and_none_in_use_is_closed(tmp_path: Path) -> None:
    module = load_kind("stbtester")
    settings = module.Settings.model_validate(
        {"kind": "stbtester", "url": "http://127.0.0.1:1", "credentials": "caller"}
    )
    closed: list[str] = []

    def made(token: SecretStr | None) -> Any:
        service = module.connect("portal", settings.model_copy(update={"token": token}))

        async def note() -> None:
            closed.append(token.get_secret_value() if token else "")

        service.aclose = note
        return service

    rooms = ScopeCache(Lab([module.connect("portal", settings)]), Folders([tmp_path]), {"portal": made})
    alice = Caller("alice")
    async with (
        rooms.enter(Caller("bob"), {"portal": SecretStr("bobs")}),
        rooms.enter(alice, {"portal": SecretStr("0")}),
    ):
        for number in range(1, MAX_PER_CALLER + 4):
            async with rooms.enter(alice, {"portal": SecretStr(str(number))}) as room:
                assert room.files.save_to == [tmp_path / "alice"]
    assert closed == ["1", "2", "3", "4"]
    assert "bobs" not in repr(vars(rooms))
    await rooms.aclose()
    assert len(closed) == MAX_PER_CALLER + 5
