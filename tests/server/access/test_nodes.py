"""A caller with some of the nodes has to do with no other, whichever way a tool is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2
import pytest
from mcp import MCPError
from mcp_types import EmptyResult, SubscribeRequest, SubscribeRequestParams

from testlab_mcp.access.callers import Caller
from testlab_mcp.access.scoping import scope_service
from testlab_mcp.access.service_scope import OwnershipRegistry
from testlab_tools import capabilities
from testlab_tools.errors import Refused
from testlab_tools.models.nodes import Dialog, Node
from testlab_tools.models.requests import DialogAnswer
from testlab_tools.services import known_kinds, load_kind
from tests.fixture_types import RefusedCaller, ToolCaller
from tests.tool_calls import fill
from tests.tool_samples import SAMPLES, SIMULATED

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk

CAPABILITIES = [one for name in capabilities.__all__ if isinstance(one := getattr(capabilities, name), type)]


@dataclass(frozen=True)
class Things:
    """Two nodes, `mine` allowed and `other` not, and what is on the other."""

    mine: str
    other: str
    run: str
    job: str
    case: str
    reservation: str

    def names(self) -> dict[str, str]:
        """By the names that samples of tools have for them."""
        return {
            "service": "portal",
            "allowed_node": self.mine,
            "run": self.run,
            "job": self.job,
            "case": self.case,
            "revision": "main",
            **dict.fromkeys(("node", "idle_node", "their_node"), self.other),
            **dict.fromkeys(("reservation", "ending_reservation", "their_reservation"), self.reservation),
        }


@pytest.fixture(scope="module")
def sims() -> Iterator[Any]:
    from tests.lab_processes import LabProcess

    with LabProcess() as lab:
        lab.services()
        yield lab


@pytest.fixture(scope="module")
def nodes(sims: Any) -> dict[str, str]:
    """Two free nodes with runs: of the one of them a caller is to have, of the other not."""
    portal = sims.services()["stbtester"]
    with httpx2.Client(headers={"Authorization": f"token {portal['token']}"}) as http:
        every = http.get(f"{portal['url']}/api/v2/nodes").json()
        runs = http.get(f"{portal['url']}/api/v2/results").json()
    last = {run["result_id"].split("/")[1]: run for run in reversed(runs)}
    mine, other = [node["node_id"] for node in every if node["available"] and node["node_id"] in last][:2]
    run = last[other]
    ids = {"mine": mine, "other": other, "run": run["result_id"], "job": run["job_uid"]}
    return {"case": run["test_case"], **{name: f"portal:{native}" for name, native in ids.items()}}


@pytest.fixture(scope="module")
def url(sims: Any, desk: Desk, nodes: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    _, _, native = nodes["mine"].partition(":")
    callers = [
        desk.table_of("alice", access="admin"),
        desk.table_of("erin", access="admin", nodes=[f"portal:{native}"]),
        desk.table_of("frank", access="admin", nodes=[native[:-1] + "?", "no-such-*"], services=["portal"]),
        desk.table_of("gil", nodes=[]),
    ]
    files = f"[files]\nsave_to = ['{tmp_path_factory.mktemp('files')}']\n"
    with desk.served(desk.everything + files + "".join(callers) + sims.config_toml()) as at:
        yield at


@pytest.fixture(scope="module")
def things(sims: Any, nodes: dict[str, str]) -> Things:
    """The other node, reserved by somebody."""
    portal = sims.services()["stbtester"]
    order = {"node_ids": [nodes["other"].partition(":")[2]], "message": "mine", "duration_secs": 900}
    asked = {"headers": {"Authorization": f"token {portal['token']}"}, "json": order}
    made = httpx2.post(f"{portal['url']}/api/v2/reservations", **asked).json()["reservations"][0]
    return Things(**nodes, reservation=f"portal:{made['reservation_id']}")


CASES = [(sample.tool, number) for sample in SIMULATED.values() for number in range(len(sample.calls_to_other_node()))]


def test_every_tool_is_tried_or_has_nothing_to_do_with_nodes() -> None:
    tried = {tool for tool, _ in CASES}
    of_nodes = {sample.tool for sample in SIMULATED.values() if sample.toolset in ("nodes", "jobs")}
    assert of_nodes - tried == {"list_test_cases", "answer_dialog"}
    assert {sample.tool for sample in SAMPLES.values() if sample.services == ("portal",)} <= tried


@pytest.mark.parametrize("who", ["erin", "gil"])
@pytest.mark.parametrize(("tool", "number"), CASES)
async def test_a_node_that_is_not_theirs_is_refused(
    tool: str, number: int, who: str, url: str, desk: Desk, things: Things, refused: RefusedCaller
) -> None:
    arguments = fill(SAMPLES[tool].calls_to_other_node()[number], things.names())
    async with desk.signed_in(url, who) as client:
        assert f"[callers.{who}] " in await refused(client, tool, **arguments)


@pytest.mark.parametrize("trick", ["{mine}/../{bare}", "{bare}", " {other}", "portal:{other}", "{mine}%2f..%2f{bare}"])
async def test_no_spelling_of_a_node_gets_past(
    trick: str, url: str, desk: Desk, things: Things, refused: RefusedCaller
) -> None:
    node = trick.format(mine=things.mine, other=things.other, bare=things.other.partition(":")[2])
    async with desk.signed_in(url, "erin") as erin:
        await refused(erin, "grab_screenshot", node_id=node)
        await refused(erin, "press_key", node_id=node, key="KEY_OK")
        await refused(erin, "reserve_nodes", node_ids=[node], message="m", duration_minutes=1)


async def test_lists_hold_only_their_nodes(url: str, desk: Desk, things: Things, ask: ToolCaller) -> None:
    async with desk.signed_in(url, "erin") as erin:
        nodes = await ask(erin, "list_nodes")
        assert [node["node_id"] for node in nodes["nodes"]] == [things.mine]
        assert nodes["total"] == 1
        bare = things.mine.partition(":")[2]
        seen, cursor = [], ""
        for _ in range(3):
            page = await ask(erin, "list_runs", service="portal", limit=5, cursor=cursor)
            seen += page["runs"]
            if not (cursor := page.get("cursor", "")):
                break
        every = await ask(erin, "list_runs", service="portal", station=things.mine, limit=len(seen))
    assert {run["station"] for run in seen} == {bare}
    assert [run["run_id"] for run in seen] == [run["run_id"] for run in every["runs"]]


@pytest.mark.parametrize("who", ["erin", "gil"])
async def test_nobody_listens_to_another_node_or_to_what_is_on_it(
    who: str, url: str, desk: Desk, things: Things
) -> None:
    named = {"nodes": things.other, "jobs": things.job, "runs": things.run}
    uris = [f"testlab://{kind}/{quote(handle, safe='')}" for kind, handle in named.items()]
    mine = f"testlab://nodes/{quote(things.mine, safe='')}"
    async with (
        desk.signed_in(url, who, "2026-07-28") as client,
        client.listen(resource_subscriptions=[*uris, mine]) as subscription,
    ):
        assert (subscription.honored.resource_subscriptions or []) == ([mine] if who == "erin" else [])
    async with desk.signed_in(url, who, "legacy") as client:
        for uri in uris:
            asked = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
            with pytest.raises(MCPError, match=rf"\[callers\.{who}\] nodes does not name it"):
                await client.session.send_request(asked, EmptyResult)


async def test_causes_are_those_of_their_nodes_alone(url: str, desk: Desk, things: Things, ask: ToolCaller) -> None:
    async with desk.signed_in(url, "erin") as erin, desk.signed_in(url, "alice") as alice:
        theirs = await ask(erin, "triage", service="portal", since="9d")
        mine = await ask(alice, "triage", service="portal", since="9d", station=things.mine)
        every = await ask(alice, "triage", service="portal", since="9d")
    bare = things.mine.partition(":")[2]
    assert {name for group in theirs["groups"] for name in group.get("by_station", {})} == {bare}
    assert theirs["totals"]["failures"] == mine["totals"]["failures"] < every["totals"]["failures"]


async def test_a_glob_lets_through_what_it_fits(url: str, desk: Desk, things: Things, ask: ToolCaller) -> None:
    async with desk.signed_in(url, "frank") as frank:
        nodes = {node["node_id"] for node in (await ask(frank, "list_nodes"))["nodes"]}
        assert things.mine in nodes
        assert all(node[:-1] == things.mine[:-1] for node in nodes)
        made = await ask(frank, "reserve_nodes", node_ids=[things.mine], message="m", duration_minutes=1)
        run = (await ask(frank, "list_runs", station=things.mine, limit=1))["runs"][0]["run_id"]
        assert (await ask(frank, "get_run", run_id=run))["run"]["run_id"] == run
        assert (await ask(frank, "read_log", run_id=run))["total_lines"]
        exported = await ask(
            frank, "export_runs", service="portal", station=things.mine, save_to="mine.csv", since="2d"
        )
        assert exported["finished"]
        await ask(frank, "extend_reservation", minutes=1, reservation_id=made["reservations"][0]["reservation_id"])
        await ask(frank, "end_reservation", reservation_id=made["reservations"][0]["reservation_id"])


async def test_a_conflict_names_no_other_node(
    url: str, desk: Desk, things: Things, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "erin") as erin:
        every = {node["node_id"] for node in (await ask(alice, "list_nodes"))["nodes"]}
        made = await ask(alice, "reserve_nodes", node_ids=[things.mine], message="m", duration_minutes=1)
        told = await refused(erin, "reserve_nodes", node_ids=[things.mine], message="m", duration_minutes=1)
        await ask(alice, "end_reservation", reservation_id=made["reservations"][0]["reservation_id"])
    assert {node for node in every if node in told} == {things.mine}


@pytest.mark.parametrize("kind", known_kinds())
def test_a_scoped_service_offers_all_that_the_service_can_do(kind: str) -> None:
    module = load_kind(kind)
    service = module.connect("s", module.Settings.model_validate({"kind": kind, **module.Settings.example}))
    behind = scope_service(service, Caller("erin", nodes=()), OwnershipRegistry())
    assert {one for one in CAPABILITIES if isinstance(service, one)} == {
        one for one in CAPABILITIES if isinstance(behind, one)
    }


@pytest.mark.parametrize("given", [["bench:other"], ["portal:*"], []])
async def test_a_dialog_is_shown_and_answered_on_their_nodes_alone(given: list[str]) -> None:
    scoped: Any = scope_service(Waiting("bench"), Caller("erin", nodes=tuple(given)), OwnershipRegistry())
    with pytest.raises(Refused, match=r"\[callers\.erin\] nodes"):
        await scoped.get_dialog("d-1")
    with pytest.raises(Refused, match=r"\[callers\.erin\] nodes"):
        await scoped.answer_dialog("d-1", DialogAnswer("confirm"))
    theirs: Any = scope_service(Waiting("bench"), Caller("erin", nodes=("bench:bench",)), OwnershipRegistry())
    assert (await theirs.get_dialog("d-1")).text == "Go on?"
    assert await theirs.answer_dialog("d-1", DialogAnswer("confirm"))


class Waiting(capabilities.NodeInventory, capabilities.OperatorDialogs):
    """A stand whose test waits in a dialog."""

    kind = "waiting"

    async def probe(self) -> capabilities.Health:
        return capabilities.Health("")

    async def list_nodes(self) -> list[Node]:
        return [await self.get_node("bench")]

    async def get_node(self, node_id: str, detail: bool = False, addresses: bool = False) -> Node:
        return Node(node_id=self.handle(node_id), state="busy")

    async def get_dialog(self, dialog_id: str) -> Dialog:
        return Dialog(dialog_id="bench:d-1", node_id="bench:bench", text="Go on?", buttons={"confirm": "Yes"})

    def check_answer(self, dialog: Dialog, answer: DialogAnswer) -> None:
        pass

    async def answer_dialog(self, dialog_id: str, answer: DialogAnswer) -> bool:
        return True
