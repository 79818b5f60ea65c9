"""HardPy 0.25.2, its real operator panel: started and stopped here, asked over HTTP alone, by a real MCP client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp_types import ElicitRequestParams, ElicitResult
from starlette.applications import Starlette
from starlette.testclient import TestClient

from testlab_mcp.commands.serve import policy_of
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.server import build_server
from testlab_sim.hardpy import api as hardpy_api
from testlab_sim.hardpy import documents
from testlab_sim.hardpy.stand import Stand
from testlab_sim.world import Clock, World
from tests.clients.hardpy_panel import PanelProcess, open_panel

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the panel is started as a process group of POSIX")
POWER = ["test_power::test_identify", "test_power::test_rail", "test_power::test_unnamed"]
OPERATOR = [f"test_operator::test_{name}" for name in ("pass_fail", "text", "number", "choice", "choices", "message")]
NOTED = "test_operator::test_noted"
SLOW = ["test_slow::test_wait", "test_slow::test_after"]
Connected = Callable[..., AbstractAsyncContextManager["Caller"]]


class Person:
    """Who is asked, and agrees."""

    def __init__(self) -> None:
        self.questions: list[str] = []

    async def __call__(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
        self.questions.append(params.message)
        return ElicitResult(action="accept", content={"go_ahead": True})


class Caller:
    """Calls tools of a server in front of a panel."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, tool: str, **arguments: object) -> dict[str, Any]:
        result = await self._client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return result.structured_content or {}

    async def refused(self, tool: str, **arguments: object) -> str:
        result = await self._client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        return getattr(result.content[0], "text", "")

    async def dialog(self) -> dict[str, Any]:
        """The dialog that waits now, or comes next."""
        for _ in range(300):
            found = (await self("get_job", node_id="bench:bench", wait_seconds=1)).get("waiting_for")
            if found:
                return found[0]
        raise AssertionError("no dialog came")


@pytest.fixture(scope="session")
def hardpy(client_python: Callable[..., Path]) -> Path:
    """The Python of HardPy's own environment."""
    return client_python("hardpy-0.25.2")


@pytest.fixture(scope="module")
def panel(
    hardpy: Path, client_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PanelProcess]:
    """A panel with the tests of `scripts/hardpy_stand`."""
    with open_panel(hardpy, client_settings, tmp_path_factory.mktemp("stand") / "fct") as made:
        yield made


@pytest.fixture
def person() -> Person:
    return Person()


@pytest.fixture
def connected(
    panel: PanelProcess, tmp_path: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connected]:
    """A caller of a server in front of the panel; `asks` says whether its client can ask a person."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    @asynccontextmanager
    async def opened(url: str = "", access: str = "operate", asks: bool = True) -> AsyncIterator[Caller]:
        config = (
            f'[server]\naccess = "{access}"\ntoolsets = ["all"]\n[audit]\nenabled = false\n[durable]\nenabled = false\n'
            f"[archive]\npath = '{tmp_path / 'archive'}'\n"
            f'[services.bench]\nkind = "hardpy"\nurl = "{url or panel.url}"\n'
        )
        read = parse_config(config)
        server = build_server(read.lab(), policy_of(read), read.folders())
        async with Client(server, elicitation_callback=person if asks else None) as client:
            yield Caller(client)

    panel.rest()
    yield opened
    panel.rest()


async def test_a_stand_is_listed_with_its_tests(connected: Connected, panel: PanelProcess) -> None:
    async with connected() as call:
        listed = await call("list_nodes", detail=True)
        tests = await call("list_test_cases", revision="current")
        wrong = await call.refused("list_test_cases", revision="main")
    (node,) = listed["nodes"]
    assert (node["node_id"], node["state"], listed["free"]) == ("bench:bench", "free", 1)
    assert node["detail"]["tests"] == panel.folder.name
    assert set(tests["test_cases"]) == {*POWER, *OPERATOR, NOTED, *SLOW}
    assert "Give 'current'" in wrong


async def test_tests_are_run_followed_listed_explained_and_counted(connected: Connected, panel: PanelProcess) -> None:
    async with connected() as call:
        order = {"node_id": "bench:bench", "test_pack_revision": "current", "test_cases": POWER}
        job = await call("run_tests", **order, tags={"rail": "5.31", "serial": "SN 7=8"}, wait_seconds=0)
        assert job["total"] == 3
        assert "selection" in job["note"]
        ended = await call("get_job", job_uid=job["job_uid"], wait_seconds=45)
        assert (ended["finished"], ended["passed"], ended["failed"]) == (True, 2, 1)
        assert [failure["case"] for failure in ended["failures"]] == ["Power: 5 V rail"]

        (run,) = (await call("list_runs", service="bench", unit="SN 7=8"))["runs"]
        assert (run["outcome"], run["job_uid"], run["test"]) == ("fail", job["job_uid"], "Final test")
        assert run["reason"].startswith("AssertionError: rail_5v 5.31 V out of 4.75..5.25")
        whole = await call("get_run", run_id=run["run_id"], include=["cases", "measurements", "tags"])
        cases = {case["case"]: case for case in whole["cases"]}
        assert cases.keys() == {"Power: Identify DUT", "Power: 5 V rail", "Power: test_unnamed"}
        assert cases["Power: 5 V rail"]["attempts"] == 2
        (rail,) = cases["Power: 5 V rail"]["measurements"]
        assert rail == {"name": "rail_5v", "outcome": "fail", "value": 5.31, "units": "V", "lower": 4.75, "upper": 5.25}
        assert whole["tags"]["test_stand"] == "FCT-01"

        failed = await call("get_failed_cases", run_id=job["job_uid"])
        assert [case["case"] for case in failed["runs"][0]["cases"]] == ["Power: 5 V rail"]
        explained = await call("explain_failure", run_id=run["run_id"])
        assert "rail_5v" in str(explained)
        counted = await call("summarize_runs", metric="runs", service="bench", since="1d")
        assert counted["total"]["failed"] >= 1
        stats = await call("measurement_stats", test="Final test", measurement="rail_5v", service="bench", since="1d")
        assert stats["n"] >= 1, stats
        assert "SN 7=8" in str(await call("get_unit", serial_number="SN 7=8"))


async def test_exactly_the_tests_of_an_order_run_and_all_are_selected_again(
    connected: Connected, panel: PanelProcess
) -> None:
    async with connected() as call:
        order = {"node_id": "bench:bench", "test_pack_revision": "current", "test_cases": POWER[2:]}
        job = await call("run_tests", **order, wait_seconds=45)
        again = await call("run_tests", **order, wait_seconds=45)
    assert (job["total"], again["total"]) == (1, 1)
    assert job["job_uid"] != again["job_uid"]
    panel.wait(lambda: panel.get("/api/status") == {"status": "ready"})
    assert panel.get("/api/start") == {"status": "started"}
    panel.wait(lambda: len(panel.live()["modules"]) == 3)


async def test_a_dialog_is_answered_once_a_person_has_agreed(
    connected: Connected, panel: PanelProcess, person: Person
) -> None:
    answers = [
        {"button": "pass"},
        {"values": ["50% of %41, é, \"x\" & 'y'"]},
        {"values": ["3.3"]},
        {"values": ["blue's 100%"]},
        {"values": ["one", 'two "2"']},
        {},
    ]
    seen = [(["pass", "fail"], "nothing"), "text", "number", "one choice", "choices", "nothing"]
    panel.begin(*OPERATOR)
    async with connected() as call:
        for answer, takes in zip(answers, seen, strict=True):
            dialog = await call.dialog()
            assert dialog["node_id"] == "bench:bench"
            if isinstance(takes, tuple):
                assert (list(dialog["buttons"]), dialog.get("takes", "nothing")) == takes
                assert dialog["buttons"] == {"pass": "Green", "fail": "Not green"}
            else:
                assert dialog.get("takes", "nothing") == takes
            told = await call("answer_dialog", dialog_id=dialog["dialog_id"], **answer)
            assert told["answered"], told
            assert "waits no more" not in str(told)
            gone = await call.refused("answer_dialog", dialog_id=dialog["dialog_id"], **answer)
            assert "No such dialog waits any more" in gone
        job = await call("get_job", node_id="bench:bench", wait_seconds=45)
        assert (job["passed"], job["finished"]) == (6, True)
        run = (await call("list_runs", service="bench", limit=1))["runs"][0]
        whole = await call("get_run", run_id=run["run_id"], include=["measurements"])
    values = {m["name"]: m["value"] for case in whole["cases"] for m in case.get("measurements", [])}
    assert values == {
        "led": "True",
        "text": repr(answers[1]["values"][0]),
        "number": "3.3",
        "choice": repr("blue's 100%"),
        "choices": repr(["one", 'two "2"']),
    }
    assert len(person.questions) == 6
    assert "Is the LED green?" in person.questions[0]
    assert "Green" in person.questions[0]
    assert "50%" in person.questions[1]


async def test_a_message_beside_a_dialog_is_not_closed_and_the_dialog_answered(
    connected: Connected, panel: PanelProcess
) -> None:
    panel.begin(NOTED)
    async with connected() as call:
        panel.wait(lambda: panel.live()["modules"]["test_operator"]["cases"]["test_noted"]["dialog_box"])
        waiting = (await call("get_job", node_id="bench:bench"))["waiting_for"]
        message, box = sorted(waiting, key=lambda dialog: dialog["text"])
        told = await call.refused("answer_dialog", dialog_id=message["dialog_id"])
        assert box["dialog_id"] in told
        await call("answer_dialog", dialog_id=box["dialog_id"], button="pass")
        job = await call("get_job", node_id="bench:bench", wait_seconds=45)
    assert (job["passed"], job["finished"]) == (1, True)


async def test_a_failed_look_is_answered_as_failed(connected: Connected, panel: PanelProcess, person: Person) -> None:
    panel.begin(OPERATOR[0])
    async with connected() as call:
        dialog = await call.dialog()
        wrong = await call.refused("answer_dialog", dialog_id=dialog["dialog_id"], button="confirm")
        assert "pass, fail" in wrong
        surplus = await call.refused("answer_dialog", dialog_id=dialog["dialog_id"], button="pass", values=["5"])
        assert "takes no values" in surplus
        assert not person.questions, "nobody is asked what is then refused"
        await call("answer_dialog", dialog_id=dialog["dialog_id"], button="fail")
        await call("get_job", node_id="bench:bench", wait_seconds=45)
        run = (await call("list_runs", service="bench", limit=1))["runs"][0]
        whole = await call("get_run", run_id=run["run_id"], include=["measurements"])
    (case,) = whole["cases"]
    assert [m["value"] for m in case["measurements"]] == ["False"]


async def test_a_client_that_cannot_ask_has_to_name_the_dialog(connected: Connected, panel: PanelProcess) -> None:
    panel.begin(OPERATOR[0])
    async with connected(asks=False) as call:
        dialog = await call.dialog()
        told = await call.refused("answer_dialog", dialog_id=dialog["dialog_id"], button="pass")
        assert f"confirm='{dialog['dialog_id']}'" in told
        assert panel.live()["modules"]["test_operator"]["cases"]["test_pass_fail"]["dialog_box"]
        done = await call("answer_dialog", dialog_id=dialog["dialog_id"], button="pass", confirm=dialog["dialog_id"])
    assert done["answered"]


async def test_tests_started_here_are_stopped_and_others_are_not(connected: Connected, panel: PanelProcess) -> None:
    async with connected() as call:
        order = {"node_id": "bench:bench", "test_pack_revision": "current", "test_cases": SLOW}
        job = await call("run_tests", **order)
        assert "runs tests" in await call.refused("run_tests", **order)
        assert (await call("get_job", job_uid=job["job_uid"]))["started_by"] == "you"
        stopped = await call("stop_job", job_uid=job["job_uid"])
        assert stopped["stopped"]
        run = (await call("list_runs", service="bench", limit=1))["runs"][0]
        assert (run["outcome"], run["job_uid"]) == ("stopped", job["job_uid"])

        panel.begin(*SLOW)
        node = (await call("list_nodes"))["nodes"][0]
        assert (node["state"], node["job"]["started_by"]) == ("busy", "not told")
        assert "Whose job" in await call.refused("stop_job", node_id="bench:bench")
    async with connected(access="admin") as call:
        assert (await call("stop_job", node_id="bench:bench"))["stopped"]


async def test_a_module_that_does_not_import_leaves_the_rest(connected: Connected, panel: PanelProcess) -> None:
    broken = panel.folder / "test_broken.py"
    broken.write_text("import nothing_of_this_name\n\ndef test_never():\n    pass\n", encoding="utf-8")
    try:
        async with connected() as call:
            tests = await call("list_test_cases", revision="current")
            unknown = await call.refused(
                "run_tests", node_id="bench:bench", test_pack_revision="current", test_cases=["test_broken::test_never"]
            )
    finally:
        broken.unlink()
    assert set(tests["test_cases"]) == {*POWER, *OPERATOR, NOTED, *SLOW}
    assert "no such test case" in unknown


async def test_tests_that_a_restart_of_the_panel_ended_are_not_told_as_a_result(
    hardpy: Path, client_settings: dict[str, str], tmp_path: Path, connected: Connected
) -> None:
    with open_panel(hardpy, client_settings, tmp_path / "fct") as panel:
        async with connected(panel.url) as call:
            order = {"node_id": "bench:bench", "test_pack_revision": "current", "test_cases": SLOW}
            job = await call("run_tests", **order)
            panel.kill()
            assert "cannot be reached" in await call.refused("get_job", job_uid=job["job_uid"])
            assert "cannot be reached" in await call.refused("list_nodes")
            panel.start()
            gone = await call.refused("get_job", job_uid=job["job_uid"])
            assert "restarted" in gone
            assert (await call("list_runs", service="bench")).get("runs", []) == []
            assert (await call("list_nodes"))["nodes"][0]["state"] == "free"


def shape(value: object) -> object:
    """Member names and types, at every depth; of a list, those of its first member."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def frame(document: dict[str, Any]) -> object:
    """The shape of a document without its tests."""
    return shape({name: value for name, value in document.items() if name != "modules"})


def case_of(document: dict[str, Any], name: str) -> object:
    """The shape of a module with one of its cases."""
    module, _, case = name.partition("::")
    whole = document["modules"][module]
    return shape({**whole, "cases": {"case": whole["cases"][case]}})


def simulated(*tests: str) -> Stand:
    """A simulated stand that has started these tests."""
    stand = Stand(selected=list(tests))
    assert stand.start([], CLOCK)
    CLOCK.advance(1000)
    stand.advance(CLOCK)
    return stand


CLOCK = Clock()


def test_the_simulated_stand_has_the_real_panels_documents(panel: PanelProcess) -> None:
    """Collected, waiting in a dialog, stopped, and failed: the live one, and what is kept of a run."""
    panel.rest()
    panel.select(POWER[1])
    ready = documents.collected(["test_1_power::test_rail"])
    assert frame(panel.live()) == frame(ready)
    assert case_of(panel.live(), POWER[1]) == case_of(ready, "test_1_power::test_rail")

    panel.begin(*POWER[:2], OPERATOR[0])
    panel.wait(lambda: "dialog_text" in str(panel.live()))
    waiting = simulated("test_1_power::test_identify", "test_3_operator::test_led").live
    real = panel.live()
    assert case_of(real, OPERATOR[0]) == case_of(waiting, "test_3_operator::test_led")
    known = {document["_id"] for document in panel.documents()}
    panel.rest()
    (kept,) = [document for document in panel.documents() if document["_id"] not in known]
    assert kept["status"] == "stopped"
    assert len(kept["_id"]) == 13


def test_the_simulated_stand_answers_as_the_real_panel(panel: PanelProcess) -> None:
    """One question after the other, to both."""
    panel.rest()
    world = World(None, None)  # pyright: ignore[reportArgumentType] - the other services are not asked
    app = Starlette(routes=list(hardpy_api.mount(world)), exception_handlers={})
    with TestClient(app, base_url="http://sim", raise_server_exceptions=False) as sim:
        for method, path, body in QUESTIONS:
            answer = httpx2.request(method, panel.url + path, json=body, trust_env=False, timeout=60)
            same = sim.request(method, "/hardpy" + path, json=body)
            assert same.status_code == answer.status_code, path
            if answer.status_code == 200:
                assert same.json() == answer.json(), path
    panel.rest()


QUESTIONS: list[tuple[str, str, object]] = [
    ("GET", "/api/status", None),
    ("GET", "/api/stop", None),
    ("GET", "/api/storage_type", None),
    ("GET", "/api/manual_collect_mode", None),
    ("POST", "/api/manual_collect_mode", {"enabled": True}),
    ("GET", "/api/start", None),
    ("GET", "/api/stop", None),
    ("POST", "/api/manual_collect_mode", {"enabled": False}),
    ("POST", "/api/selected_tests", ["test_slow::test_wait"]),
    ("POST", "/api/selected_tests", {"not": "a list"}),
    ("GET", "/api/nothing_like_it", None),
    ("GET", "/api/start?args=a=b&args=c", None),
    ("GET", "/api/start", None),
    ("GET", "/api/status", None),
    ("GET", "/api/collect", None),
    ("POST", "/api/selected_tests", []),
    ("GET", "/api/stop", None),
]
