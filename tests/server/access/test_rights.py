"""Callers with different rights on one server: the lesser one tries everything the other may do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from testlab_mcp.commands.simlab import SimLab
from testlab_tools.tools import all_tools
from tests.fixture_types import RefusedCaller, ToolCaller
from tests.service_samples import SERVICE_SAMPLES
from tests.tool_calls import BENCH, RACK_TABLE

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk

TOOLS = {tool.name: tool for tool in all_tools()}
ERAS = ["legacy", "2026-07-28"]
NODE = "portal:stb-tester-00044b80f101"


@pytest.fixture(scope="module")
def url(sim: SimLab, desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    callers = [
        desk.table_of("alice", access="admin"),
        desk.table_of("bob"),
        desk.table_of("carol", access="operate", toolsets=["nodes"], allow=["list_runs"], deny=["press_key"]),
        desk.table_of("dave", access="admin", services=["cloud"]),
        f"{desk.table_of('erin')}pictures = false\n",
    ]
    files = f"[files]\nsave_to = ['{tmp_path_factory.mktemp('files')}']\n"
    bench = SERVICE_SAMPLES[BENCH].table("http://127.0.0.1:1")
    with desk.served(desk.everything + files + "".join(callers) + sim.config_toml() + RACK_TABLE + bench) as at:
        yield at


@pytest.mark.parametrize("era", ERAS)
async def test_two_callers_see_what_each_may_do_in_both_eras(era: str, url: str, desk: Desk) -> None:
    async with desk.signed_in(url, "alice", era) as alice, desk.signed_in(url, "bob", era) as bob:
        assert [tool.name for tool in (await alice.list_tools()).tools] == list(TOOLS)
        seen = {tool.name for tool in (await bob.list_tools()).tools}
    assert seen == {name for name, tool in TOOLS.items() if tool.access == "observe"}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", list(TOOLS))
async def test_the_lesser_caller_is_refused_what_the_other_gets_past(
    tool: str, era: str, url: str, desk: Desk, text_of: Callable[[CallToolResult], str]
) -> None:
    async with desk.signed_in(url, "alice", era) as alice, desk.signed_in(url, "bob", era) as bob:
        theirs, ours = await alice.call_tool(tool, {"wrong": 1}), await bob.call_tool(tool, {"wrong": 1})
    assert "has no argument wrong" in text_of(theirs), "once it is let in, its arguments are looked at"
    need = TOOLS[tool].access
    if need == "observe":
        assert text_of(ours) == text_of(theirs)
    else:
        assert text_of(ours) == f'Not allowed: {tool} needs [callers.bob] access = "{need}"; it is "observe".'


@pytest.mark.parametrize("who", ["carol", "dave"])
async def test_a_tool_is_listed_exactly_if_it_can_be_called(
    who: str, url: str, desk: Desk, text_of: Callable[[CallToolResult], str]
) -> None:
    async with desk.signed_in(url, who) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        answers = {tool: text_of(await client.call_tool(tool, {"wrong": 1})) for tool in TOOLS}
    assert listed == {tool for tool, text in answers.items() if "has no argument wrong" in text}
    assert {tool for tool, text in answers.items() if text.startswith("Not allowed: ")} == set(TOOLS) - listed
    assert all(f"[callers.{who}]" in answers[tool] for tool in set(TOOLS) - listed)


async def test_toolsets_and_single_tools_narrow_a_caller(url: str, desk: Desk, refused: RefusedCaller) -> None:
    async with desk.signed_in(url, "carol") as carol:
        assert "[callers.carol] deny" in await refused(carol, "press_key")
        assert '"jobs", which [callers.carol] toolsets' in await refused(carol, "run_tests")
        assert (await carol.call_tool("list_runs", {"limit": 1})).structured_content


async def test_a_caller_of_one_service_meets_no_other(
    url: str, desk: Desk, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with desk.signed_in(url, "dave") as dave, desk.signed_in(url, "alice") as alice:
        page = await ask(dave, "list_runs", limit=5)
        assert {share["service"] for share in page["services"]} == {"cloud"}
        assert "portal" not in await refused(dave, "list_runs", service="portal")
        assert "[callers.dave] services" in await refused(dave, "list_nodes")
        elsewhere = (await ask(alice, "list_runs", service="factory", limit=1))["runs"][0]["run_id"]
        for tool in ("get_run", "get_failed_cases"):
            assert "factory" not in (await refused(dave, tool, run_id=elsewhere)).replace(elsewhere, "")
        serial = (await ask(alice, "list_runs", service="cloud", limit=1))["runs"][0]["unit"]
        unit = await ask(dave, "get_unit", serial_number=serial)
        assert {share["service"] for share in unit["services"]} == {"cloud"}


async def test_a_tool_that_nobody_has_is_not_one_of_those_another_caller_sees(url: str, desk: Desk) -> None:
    async with desk.signed_in(url, "bob") as bob:
        with pytest.raises(MCPError, match="no such tool") as raised:
            await bob.call_tool("run_test", {})
    assert "run_tests" not in raised.value.message


async def test_who_may_do_everything_does_it(url: str, desk: Desk, ask: ToolCaller) -> None:
    async with desk.signed_in(url, "alice") as alice:
        nodes = await ask(alice, "list_nodes", available=True)
        made = await ask(
            alice, "reserve_nodes", node_ids=[nodes["nodes"][0]["node_id"]], message="soak", duration_minutes=5
        )
        ended = await ask(alice, "end_reservation", reservation_id=made["reservations"][0]["reservation_id"])
    assert ended["ended"]


async def test_a_caller_whose_client_shows_no_pictures_gets_their_facts(url: str, desk: Desk) -> None:
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "erin") as erin:
        theirs = await alice.call_tool("grab_screenshot", {"node_id": NODE})
        ours = await erin.call_tool("grab_screenshot", {"node_id": NODE})
    assert [block.type for block in theirs.content] == ["image", "text"]
    assert [block.type for block in ours.content] == ["text"]
