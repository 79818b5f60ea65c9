"""A long look as a task: it goes on when its request is over, in another process if its own dies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest

from testlab_mcp.protocol.tasks.long_calls import FOLLOWED, READING
from testlab_tools.tools import all_tools

if TYPE_CHECKING:
    from tests.server.tasks.conftest import Portal, Start

HELD = "/results"
ASKED: dict[str, Any] = {"service": "portal", "since": "2001-01-01", "until": "2026-01-01"}


def same(task: dict[str, Any], plain: dict[str, Any]) -> bool:
    """Whether a task's result is a plain call's answer."""
    return task["result"] == {name: value for name, value in plain.items() if name != "_meta"}


def test_only_what_looks_is_run_again_and_what_is_followed_is_named_alike() -> None:
    tools = {tool.name: tool for tool in all_tools()}
    assert [name for name in READING if not tools[name].hints.read_only or tools[name].asks] == []
    for name, how in FOLLOWED.items():
        assert how.key in get_type_hints(tools[name].returns)
        assert {how.key, how.ended} <= set(get_type_hints(tools[how.tool].returns))
        assert tools[how.tool].hints.read_only
        assert how.stop in tools


def test_an_answer_that_comes_at_once_is_no_task(start: Start) -> None:
    assert start().agent().call("triage", **ASKED)["resultType"] == "complete"


def test_a_long_look_is_a_task_with_the_plain_answer(portal: Portal, start: Start) -> None:
    agent = start().agent()
    portal.hold(HELD)
    made = agent.call("triage", **ASKED)
    assert (made["resultType"], made["status"]) == ("task", "working")
    assert agent.get(made["taskId"])["status"] == "working"
    portal.calm()
    done = agent.end(made["taskId"])
    assert same(done, agent.call("triage", {}, **ASKED))
    assert agent.get(made["taskId"]) == done


def test_another_server_goes_on_with_a_task_whose_server_was_stopped(
    database: str, portal: Portal, start: Start
) -> None:
    first = start(database)
    portal.hold(HELD)
    made = first.agent().call("triage", **ASKED)
    first.stop()
    second = start(database).agent()
    assert second.get(made["taskId"])["status"] == "working"
    portal.calm()
    assert same(second.end(made["taskId"]), second.call("triage", {}, **ASKED))


def test_another_server_goes_on_with_a_task_whose_server_was_killed(
    portal: Portal, start: Start, stored: Callable[..., list[Any]]
) -> None:
    first = start()
    portal.hold(HELD)
    made = first.agent().call("triage", **ASKED)
    second = start().agent()
    before = portal.asked(HELD)
    assert second.get(made["taskId"])["status"] == "working"
    first.kill()
    stored("UPDATE tasks SET beat_at = beat_at - 60")
    portal.calm()
    assert same(second.end(made["taskId"]), second.call("triage", {}, **ASKED))
    assert portal.asked(HELD) > before


@pytest.mark.parametrize("where", [0, 1])
def test_a_cancelled_look_ends_and_its_requests_with_it(where: int, portal: Portal, start: Start) -> None:
    agents = [start().agent(), start().agent()]
    portal.hold(HELD)
    made = agents[0].call("triage", **ASKED)
    agents[where].task("cancel", made["taskId"])
    assert [agent.get(made["taskId"])["status"] for agent in agents] == ["cancelled", "cancelled"]
    portal.calm()
    assert agents[1].get(made["taskId"])["status"] == "cancelled", "what comes later changes nothing"
