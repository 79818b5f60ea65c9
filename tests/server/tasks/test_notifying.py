"""Status notifications of tasks: to a client that listens, whichever server it listens at."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.access.conftest import table_of, token_of
from tests.server.tasks.test_reading import ASKED, HELD, same
from tests.task_client import TASKS

if TYPE_CHECKING:
    from tests.server.tasks.conftest import Portal, Start

ID = "io.modelcontextprotocol/subscriptionId"


def as_told(task: dict[str, Any]) -> dict[str, Any]:
    """A task without what differs by when it is asked for, and how."""
    return {name: value for name, value in task.items() if name not in ("_meta", "resultType", "ttlMs")}


def test_who_listens_to_a_task_at_another_server_is_sent_each_change_and_its_result(
    database: str, portal: Portal, start: Start
) -> None:
    here, there = start(database).agent(), start(database).agent()
    task_id = here.call("run_tests", **portal.order())["taskId"]
    with there.listen(task_id, "another") as messages:
        acknowledged = next(messages)
        assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        assert acknowledged["params"]["notifications"] == {"taskIds": [task_id]}
        told = next(messages)
        assert (told["method"], told["params"]["taskId"]) == ("notifications/tasks", task_id)
        assert (told["params"]["status"], told["params"]["_meta"][ID]) == ("working", 1)
        portal.finish()
        sent = [told["params"], next(messages)["params"]]
        while sent[-1]["status"] == "working":
            sent.append(next(messages)["params"])
    assert sent[-1]["status"] == "completed"
    assert as_told(sent[-1]) == as_told(here.get(task_id))
    assert sent[-1]["result"]["structuredContent"]["finished"] is True
    assert all(as_told(one) != as_told(other) for one, other in pairwise(sent))


def test_who_listens_to_a_task_that_has_ended_is_sent_its_result_at_once(portal: Portal, start: Start) -> None:
    agent = start().agent()
    task_id = agent.call("run_tests", **portal.order())["taskId"]
    agent.task("cancel", task_id)
    with agent.listen(task_id) as messages:
        next(messages)
        assert next(messages)["params"]["status"] == "cancelled"


def test_a_task_of_another_caller_is_not_acknowledged(portal: Portal, start: Start) -> None:
    server = start(more="".join(table_of(name, access="operate") for name in ("alice", "bob")))
    alice, bob = server.agent(token_of("alice")), server.agent(token_of("bob"))
    task_id = alice.call("run_tests", **portal.order())["taskId"]
    with bob.listen(task_id) as messages:
        assert "taskIds" not in next(messages)["params"]["notifications"]
    with alice.listen(task_id) as messages:
        assert next(messages)["params"]["notifications"]["taskIds"] == [task_id]


@pytest.mark.parametrize(
    ("task_ids", "capabilities", "code"), [(["t"], {}, -32021), ("t", TASKS, -32602), ([1], TASKS, -32602)]
)
def test_tasks_are_listened_to_by_who_declares_the_extension_and_names_them(
    task_ids: object, capabilities: dict[str, Any], code: int, start: Start
) -> None:
    agent = start().agent()
    refused = agent.rpc("subscriptions/listen", "", capabilities, notifications={"taskIds": task_ids})
    assert refused["error"]["code"] == code


def test_an_id_with_a_nul_in_it_is_of_no_task_on_either_database(database: str, start: Start) -> None:
    agent = start(database).agent()
    with agent.listen("\0") as messages:
        assert "taskIds" not in next(messages)["params"]["notifications"]


def test_a_look_whose_server_has_stopped_goes_on_at_the_server_where_somebody_listens(
    portal: Portal, start: Start
) -> None:
    first = start()
    portal.hold(HELD)
    task_id = first.agent().call("triage", **ASKED)["taskId"]
    first.stop()
    second = start().agent()
    with second.listen(task_id) as messages:
        assert next(messages)["params"]["notifications"] == {"taskIds": [task_id]}
        told = next(messages)["params"]
        assert told["status"] == "working"
        portal.calm()
        while told["status"] == "working":
            told = next(messages)["params"]
    assert told["status"] == "completed"
    assert same(told, second.call("triage", {}, **ASKED))
