"""`run_tests` as a task: it follows the job, whichever server is asked and whatever became of the one that began it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.tasks.conftest import QUICK

if TYPE_CHECKING:
    from tests.server.tasks.conftest import Portal, Start


def end_plainly(call: dict[str, Any]) -> dict[str, Any]:
    """A plain call's result as a task has it."""
    return {name: value for name, value in call.items() if name != "_meta"}


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_task_outlives_its_server_and_another_tells_how_the_job_ended(
    how: str, database: str, portal: Portal, start: Start
) -> None:
    first = start(database)
    made = first.agent().call("run_tests", **portal.order())
    assert (made["resultType"], made["status"]) == ("task", "working")
    getattr(first, how)()
    agent = start(database).agent()
    working = agent.get(made["taskId"])
    assert working["status"] == "working"
    assert "of 20 tests done" in working["statusMessage"]
    assert working["createdAt"] == made["createdAt"]
    portal.finish()
    done = agent.end(made["taskId"])
    job_uid = working["statusMessage"].partition(": ")[0]
    plain = agent.call("get_job", {}, job_uid=job_uid)
    assert done["status"] == "completed"
    assert done["result"] == end_plainly(plain)
    assert done["result"]["structuredContent"]["finished"] is True


def test_two_servers_of_one_database_know_the_same_tasks(database: str, portal: Portal, start: Start) -> None:
    here, there = start(database).agent(), start(database).agent()
    made = here.call("run_tests", **portal.order())
    assert there.get(made["taskId"])["status"] == "working"
    assert there.task("cancel", made["taskId"])["result"]["resultType"] == "complete"
    told = here.get(made["taskId"])
    assert told["status"] == "cancelled"
    job_uid = told["statusMessage"].split("'")[1]
    assert f"stop_job(job_uid={job_uid!r}) stops it" in told["statusMessage"]
    assert portal.state(job_uid)["status"] == "running", "the job is not stopped without being asked for by name"
    assert there.task("cancel", made["taskId"])["result"]["resultType"] == "complete", "again is no error"


def test_a_campaign_is_followed_to_its_end(portal: Portal, start: Start) -> None:
    agent = start().agent()
    where = {"test_pack_revision": "main", "node_ids": portal.nodes[:1]}
    made = agent.call("start_campaign", **where, test_cases=[QUICK], retries=3)
    assert (made["resultType"], made["status"]) == ("task", "working")
    assert "of 1 tests done" in made["statusMessage"]
    done = agent.end(made["taskId"])
    ended = done["result"]["structuredContent"]
    assert (ended["state"], ended["runs"], ended["by_outcome"]) == ("finished", 1, {"pass": 1})
    assert done["result"] == end_plainly(agent.call("get_campaign", {}, campaign_id=ended["campaign_id"]))


def test_however_often_a_task_is_asked_for_its_job_is_asked_for_once_in_a_while(portal: Portal, start: Start) -> None:
    agent = start().agent()
    made = agent.call("run_tests", **portal.order())
    uid = agent.get(made["taskId"])["statusMessage"].partition(": ")[0].partition(":")[2]
    before = portal.asked(f"/jobs{uid}")
    for _ in range(40):
        agent.get(made["taskId"])
    assert portal.asked(f"/jobs{uid}") - before <= 6


def test_a_portal_that_is_down_leaves_a_task_working_and_says_so(portal: Portal, start: Start) -> None:
    agent = start().agent()
    made = agent.call("run_tests", **portal.order())
    portal._control.post("/faults", json={"service": "stbtester", "action": "status", "status": 503, "times": 0})
    told = agent.until(made["taskId"], lambda task: "cannot be asked now" in task.get("statusMessage", ""))
    assert told["status"] == "working"
    portal.calm()
    portal.finish()
    assert agent.end(made["taskId"])["status"] == "completed"


def test_a_call_that_fails_or_has_ended_at_once_is_no_task(portal: Portal, start: Start) -> None:
    agent = start().agent()
    wrong = agent.call("run_tests", **portal.order(test_pack_revision="no-such-revision"))
    assert (wrong["resultType"], wrong["isError"]) == ("complete", True)


def test_a_wait_is_left_to_the_task(portal: Portal, start: Start) -> None:
    portal.hold("/await_job_completion")
    made = start().agent().call("run_tests", **portal.order(wait_seconds=40))
    assert made["resultType"] == "task"
    assert portal.asked("/await_job_completion") == 0


def test_a_client_without_tasks_and_a_caller_who_may_not_follow_get_the_plain_answer(
    portal: Portal, start: Start
) -> None:
    agent = start().agent()
    plain = agent.call("run_tests", {}, **portal.order())
    portal.finish()
    as_before = start(more="[durable]\nenabled = false\n").agent().call("run_tests", {}, **portal.order())
    portal.finish()
    denied = start(more='deny = ["get_job"]\n').agent().call("run_tests", **portal.order())
    for answer in (plain, as_before, denied):
        assert answer["resultType"] == "complete"
        answer["structuredContent"].pop("job_uid")
    assert set(plain["structuredContent"]) == set(as_before["structuredContent"])
    assert set(plain) == set(as_before) == set(denied)


def test_without_a_database_tasks_are_not_offered(portal: Portal, start: Start) -> None:
    agent = start(more="[durable]\nenabled = false\n").agent()
    assert "io.modelcontextprotocol/tasks" not in agent.rpc("server/discover")["result"]["capabilities"]["extensions"]
    assert agent.call("run_tests", **portal.order())["resultType"] == "complete"
    assert agent.task("get", "any")["error"]["code"] == -32601
    offered = start().agent().rpc("server/discover")["result"]["capabilities"]["extensions"]
    assert offered["io.modelcontextprotocol/tasks"] == {}


def test_the_audit_has_a_call_once_however_its_task_goes_on(portal: Portal, start: Start, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    agent = start(more=f"[audit]\nfile = '{audit}'\n").agent()
    made = agent.call("run_tests", **portal.order())
    portal.finish()
    agent.end(made["taskId"])
    events = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
    assert [each["event"] for each in events] == ["intent", "outcome"]
    assert {each["tool"] for each in events} == {"run_tests"}


def test_a_caller_with_many_open_tasks_gets_plain_answers(
    portal: Portal, start: Start, stored: Callable[..., list[Any]]
) -> None:
    agent = start().agent()
    made = agent.call("run_tests", **portal.order())
    for number in range(9):
        stored(
            "INSERT INTO tasks SELECT 'copy' || ?, caller, tool, arguments, status, message, follows, runner, outcome, "
            "questions, created_at, updated_at, expires_at, beat_at FROM tasks WHERE task_id = ?",
            number,
            made["taskId"],
        )
    portal.finish()
    full = agent.call("run_tests", **portal.order())
    assert full["resultType"] == "complete"
    assert full["structuredContent"]["job_uid"]
    agent.end(made["taskId"])
    portal.finish()
    assert agent.call("run_tests", **portal.order())["resultType"] == "task"
