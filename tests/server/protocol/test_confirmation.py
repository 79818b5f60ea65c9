"""A person agrees to what is so now: the question is asked anew when its facts change, and a no changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, InputRequiredResult

from testlab_mcp.commands.serve import policy_of
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.server import build_server
from testlab_tools.tools import all_tools
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

ADMIN = '[server]\naccess = "admin"\n'
Decide = Callable[[str], Awaitable[bool | None]]


class Seen:
    """The simulated lab seen from outside: a run, a colleague's reservation and job, and what was changed."""

    def __init__(self, sim: SimLab) -> None:
        services = sim.services()
        portal, factory = services["stbtester"], services["tofupilot"]
        root = portal["url"].rpartition("/")[0]
        self.config = ADMIN + sim.config_toml()
        self.control = httpx2.Client(base_url=f"{root}/_sim", trust_env=False)
        by = {"Authorization": f"token {portal['colleague_token']}"}
        self.colleague = httpx2.Client(base_url=f"{portal['url']}/api/v2", headers=by, trust_env=False)
        by = {"Authorization": f"Bearer {factory['token']}"}
        self.factory = httpx2.Client(base_url=f"{factory['url']}/api/v2", headers=by, trust_env=False)
        procedures = self.factory.get("/procedures").json()["data"]
        self._body = {"procedure_id": procedures[0]["id"], "outcome": "PASS", "part_number": "UT"}
        self._recorded = 0

    def record(self, serial: str) -> str:
        """A run of a unit; its id."""
        self._recorded += 1
        times = {"started_at": "2026-11-20T08:00:00Z", "ended_at": f"2026-11-20T08:{self._recorded:02d}:00Z"}
        body = {**self._body, **times, "serial_number": serial}
        return self.factory.post("/runs", json=body).raise_for_status().json()["id"]

    def theirs(self) -> dict[str, Any]:
        """The colleague's reservation."""
        nodes = self.colleague.get("/nodes").json()
        return next(n["reservation"] for n in nodes if n["reservation"] and n["reservation"]["reserved_by_you"])

    def extend(self) -> None:
        """The colleague extends it."""
        number = self.theirs()["reservation_id"]
        self.colleague.post(f"/reservations/{number}/extend", json={"duration_secs": 600}).raise_for_status()

    def job(self) -> str:
        """A job of the colleague's that is running."""
        nodes = self.colleague.get("/nodes").json()
        return next(n["job"]["job_uid"] for n in nodes if n["job"] and n["job"]["status"] == "running")

    def changes(self) -> int:
        """How many requests have changed anything since they were last counted anew."""
        asked = self.control.get("/requests").json()["requests"]
        return sum(count["count"] for count in asked if count["method"] != "GET")

    def close(self) -> None:
        for client in (self.control, self.colleague, self.factory):
            client.close()


@pytest.fixture
def seen(fresh_sim: SimLab) -> Iterator[Seen]:
    made = Seen(fresh_sim)
    yield made
    made.close()


def word_of(serial: str, *runs: str) -> str:
    """What agrees to deleting a unit with these runs, and no others."""
    ids = sorted(run.partition(":")[2] for run in runs)
    return "those-" + sha256("\n".join(("factory", serial, *ids)).encode()).hexdigest()[:12]


def orders(seen: Seen) -> dict[str, tuple[dict[str, Any], str]]:
    """What each tool that asks is called with, and the target that `confirm` must repeat."""
    run, held, job = f"factory:{seen.record('SN-1')}", seen.theirs(), f"portal:{seen.job()}"
    theirs = {"reservation_id": f"portal:{held['reservation_id']}", "message": "m"}
    return {
        "interrupt_reservation": (theirs, f"portal:{held['node_id']}"),
        "delete_run": ({"run_id": run}, run),
        "delete_unit": ({"serial_number": "SN-1", "service": "factory"}, word_of("SN-1", run)),
        "stop_job": ({"job_uid": job}, job),
    }


def asking(seen: Seen, decide: Decide, mode: str) -> Client:
    """A client whose person decides; None is a decline."""

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        agrees = await decide(params.message)
        if agrees is None:
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"go_ahead": agrees})

    read = parse_config(seen.config)
    return Client(build_server(read.lab(), policy_of(read), read.folders()), mode=mode, elicitation_callback=answer)


def test_every_tool_that_destroys_asks() -> None:
    asking = {tool.name for tool in all_tools() if tool.asks}
    destroying = {tool.name for tool in all_tools() if tool.hints.destructive}
    ending = {"stop_job", "cancel_campaign"}
    assert destroying == ending | {"interrupt_reservation", "delete_run", "delete_unit", "release_delivery"}
    assert asking == destroying | {"answer_dialog"}, "and who answers in a person's place"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("answer", [None, False])
async def test_a_no_changes_nothing_at_the_service(
    answer: bool | None, mode: str, seen: Seen, refused: RefusedCaller
) -> None:
    asked: list[str] = []

    async def decide(question: str) -> bool | None:
        asked.append(question)
        return answer

    calls = orders(seen)
    seen.control.delete("/requests")
    async with asking(seen, decide, mode) as client:
        for tool, (arguments, target) in calls.items():
            told = await refused(client, tool, **arguments, confirm=target)
            assert "The person asked did not agree" in told
    assert len(asked) == len(calls)
    assert seen.changes() == 0


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_question_whose_facts_changed_is_asked_anew(mode: str, seen: Seen, ask: ToolCaller) -> None:
    asked: list[str] = []

    async def decide(question: str) -> bool | None:
        asked.append(question)
        if len(asked) == 1:
            seen.record("SN-1")
        return True

    seen.record("SN-1")
    async with asking(seen, decide, mode) as client:
        done = await ask(client, "delete_unit", serial_number="SN-1", service="factory")
    assert done["runs"] == 2
    assert ["with its 1 run, " in asked[0], "with its 2 runs, " in asked[1]] == [True, True]
    assert len(asked) == 2


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_no_to_the_changed_facts_holds(mode: str, seen: Seen, refused: RefusedCaller) -> None:
    asked: list[str] = []

    async def decide(question: str) -> bool | None:
        asked.append(question)
        if len(asked) == 1:
            seen.extend()
        return len(asked) == 1

    held = seen.theirs()
    async with asking(seen, decide, mode) as client:
        order = {"reservation_id": f"portal:{held['reservation_id']}", "message": "m"}
        assert "did not agree" in await refused(client, "interrupt_reservation", **order)
    assert len(asked) == 2
    assert asked[0] != asked[1]
    assert seen.theirs()["reservation_id"] == held["reservation_id"]


async def test_facts_that_never_rest_end_without_a_change(seen: Seen, refused: RefusedCaller) -> None:
    async def decide(question: str) -> bool | None:
        seen.record("SN-1")
        return True

    seen.record("SN-1")
    async with asking(seen, decide, "legacy") as client:
        told = await refused(client, "delete_unit", serial_number="SN-1", service="factory")
    assert "What it would change keeps changing" in told
    assert seen.factory.get("/units/SN-1").status_code == 200


async def test_confirm_is_the_target_to_the_letter(
    seen: Seen, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    calls = orders(seen)
    seen.control.delete("/requests")
    async with connect(seen.config) as client:
        for tool, (arguments, target) in calls.items():
            near = (
                "",
                "yes",
                f" {target}",
                f"{target} ",
                f"{target}\n",
                target.upper() if target != target.upper() else target.lower(),
                target.replace("-", "\u2010", 1),
                target.replace("S", "\u0405", 1) if "S" in target else target.replace("o", "\u043e", 1),
                f"{target}\u200b",
                f"\ufeff{target}",
                target[:-1],
                target.partition(":")[2] or "SN",
                repr(target),
            )
            for confirm in near:
                assert confirm != target
                told = await refused(client, tool, **arguments, confirm=confirm)
                assert f"confirm={target!r}" in told
        assert seen.changes() == 0
        for tool in ("interrupt_reservation", "delete_run", "stop_job"):
            arguments, target = calls[tool]
            await ask(client, tool, **arguments, confirm=target)


async def test_where_nobody_can_be_asked_a_setting_refuses_outright(
    seen: Seen, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    calls = orders(seen)
    seen.control.delete("/requests")
    strict = seen.config.replace('access = "admin"', 'access = "admin"\nunasked = "refuse"')
    async with connect(strict) as client:
        for tool, (arguments, target) in calls.items():
            told = await refused(client, tool, **arguments, confirm=target)
            assert "the client cannot ask" in told
            assert '[server] unasked = "refuse"' in told
            assert f"confirm={target!r}" not in told, "the model is not handed the word to confirm with"
    assert seen.changes() == 0


async def test_where_somebody_can_be_asked_that_setting_changes_nothing(seen: Seen, ask: ToolCaller) -> None:
    async def decide(question: str) -> bool | None:
        return True

    arguments, target = orders(seen)["delete_run"]
    seen.config = seen.config.replace('access = "admin"', 'access = "admin"\nunasked = "refuse"')
    async with asking(seen, decide, "auto") as client:
        await ask(client, "delete_run", **arguments)
    assert seen.factory.get(f"/runs/{target.partition(':')[2]}").status_code == 404


async def test_ones_own_job_is_stopped_without_a_question(seen: Seen, ask: ToolCaller) -> None:
    async def decide(question: str) -> bool | None:
        raise AssertionError(question)

    async with asking(seen, decide, "auto") as client:
        node = (await ask(client, "list_nodes", available=True))["nodes"][0]["node_id"]
        case = (await ask(client, "list_test_cases", revision="main", search="soak"))["test_cases"][0]
        order = {"node_id": node, "test_pack_revision": "main", "test_cases": [case], "soak": "run forever"}
        job = await ask(client, "run_tests", **order)
        assert (await ask(client, "stop_job", job_uid=job["job_uid"]))["stopped"]


class Carrier:
    """A client that carries states as it likes (2026-07-28)."""

    def __init__(self, client: Client) -> None:
        self._session = client.session

    async def call(self, tool: str, arguments: dict[str, Any], **more: Any) -> Any:
        return await self._session.call_tool(tool, arguments, allow_input_required=True, **more)


def answer_of(question: InputRequiredResult, action: Any) -> dict[str, Any]:
    """The person's answer to each of its questions, and its state."""
    content: Any = {"go_ahead": True} if action == "accept" else None
    answers = {key: ElicitResult(action=action, content=content) for key in question.input_requests or {}}
    return {"input_responses": answers, "request_state": question.request_state}


async def never(question: str) -> bool | None:
    raise AssertionError(question)


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_what_was_declined_cannot_be_accepted_later(
    action: str, seen: Seen, text_of: Callable[[CallToolResult], str]
) -> None:
    run = seen.record("SN-1")
    order = {"run_id": f"factory:{run}"}
    async with asking(seen, never, "auto") as client:
        carrier = Carrier(client)
        question = await carrier.call("delete_run", order)
        assert isinstance(question, InputRequiredResult)
        assert "did not agree" in text_of(await carrier.call("delete_run", order, **answer_of(question, action)))
        told = await carrier.call("delete_run", order, **answer_of(question, "accept"))
        assert told.is_error
        assert "answered before" in text_of(told)
        assert seen.factory.get(f"/runs/{run}").status_code == 200
        anew = await carrier.call("delete_run", order)
        done = await carrier.call("delete_run", order, **answer_of(anew, "accept"))
        assert not done.is_error
    assert seen.factory.get(f"/runs/{run}").status_code == 404


async def test_an_acceptance_counts_once(seen: Seen, text_of: Callable[[CallToolResult], str]) -> None:
    """The first deletion comes to nothing: the question would be the same, word for word."""
    seen.control.post("/faults", json={"service": "tofupilot", "method": "DELETE", "action": "reset", "times": 1})
    run = seen.record("SN-1")
    order = {"run_id": f"factory:{run}"}
    async with asking(seen, never, "auto") as client:
        carrier = Carrier(client)
        question = await carrier.call("delete_run", order)
        first = await carrier.call("delete_run", order, **answer_of(question, "accept"))
        assert "still there" in text_of(first)
        again = await carrier.call("delete_run", order, **answer_of(question, "accept"))
        assert again.is_error
        assert "answered before" in text_of(again)
    assert seen.factory.get(f"/runs/{run}").status_code == 200


@pytest.mark.parametrize("change", ["added", "replaced"])
async def test_the_word_for_a_unit_is_good_for_the_runs_that_were_shown(
    change: str, seen: Seen, connect: Connect, ask: ToolCaller, refused: RefusedCaller, word_for: RefusedCaller
) -> None:
    run = seen.record("SN-1")
    unit = {"serial_number": "SN-1", "service": "factory"}
    async with connect(seen.config) as client:
        assert repr(run) in await refused(client, "delete_unit", **unit)
        word = await word_for(client, "delete_unit", **unit)
        other = seen.record("SN-1")
        if change == "replaced":
            seen.factory.delete("/runs", params={"ids": run}).raise_for_status()
        told = await refused(client, "delete_unit", **unit, confirm=word)
        assert repr(other) in told, "the question shows what would go now"
        assert word not in told
        assert seen.factory.get("/units/SN-1").status_code == 200
        await ask(client, "delete_unit", **unit, confirm=await word_for(client, "delete_unit", **unit))
        again = seen.record("SN-1")
        assert repr(again) in await refused(client, "delete_unit", **unit, confirm=word)
    assert seen.factory.get("/units/SN-1").status_code == 200


async def test_one_run_in_anothers_place_is_asked_about_anew(
    seen: Seen, text_of: Callable[[CallToolResult], str]
) -> None:
    unit = {"serial_number": "SN-1", "service": "factory"}
    run = seen.record("SN-1")
    async with asking(seen, never, "auto") as client:
        carrier = Carrier(client)
        question = await carrier.call("delete_unit", unit)
        other = seen.record("SN-1")
        seen.factory.delete("/runs", params={"ids": run}).raise_for_status()
        anew = await carrier.call("delete_unit", unit, **answer_of(question, "accept"))
        assert isinstance(anew, InputRequiredResult), "with its 1 run, and it is another"
        assert seen.factory.get(f"/runs/{other}").status_code == 200
        assert not (await carrier.call("delete_unit", unit, **answer_of(anew, "accept"))).is_error
    assert seen.factory.get("/units/SN-1").status_code == 404
