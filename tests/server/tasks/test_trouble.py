"""Tasks of others, damaged ones, expired ones, and a database that is away: each is said plainly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_mcp.access.callers import digest_token
from tests.postgresql import fresh_database

if TYPE_CHECKING:
    from tests.server.tasks.conftest import Portal, Start

NOT_FOUND = {"code": -32602, "message": "Failed to retrieve task: Task not found"}


def callers(**access: str) -> str:
    """Tables of callers whose tokens are their names."""
    tables = [
        f"[callers.{name}]\naccess = '{level}'\ntoken_sha256 = '{digest_token(name)}'\n"
        for name, level in access.items()
    ]
    return "".join(tables)


@pytest.mark.parametrize("method", ["get", "update", "cancel"])
def test_a_task_of_somebody_else_is_not_there(method: str, portal: Portal, start: Start) -> None:
    server = start(more=callers(alice="operate", bob="admin"))
    alice, bob = server.agent("alice"), server.agent("bob")
    made = alice.call("run_tests", **portal.order())
    more = {"inputResponses": {}} if method == "update" else {}
    assert bob.task(method, made["taskId"], **more)["error"] == NOT_FOUND
    assert bob.task(method, "no-such-task", **more)["error"] == NOT_FOUND
    assert alice.get(made["taskId"])["status"] == "working"


def test_a_caller_who_lost_a_tool_is_told_nothing_of_its_tasks(portal: Portal, start: Start) -> None:
    made = start(more=callers(alice="operate")).agent("alice").call("run_tests", **portal.order())
    later = start(more=callers(alice="observe")).agent("alice")
    assert "Not allowed" in later.task("get", made["taskId"])["error"]["message"]


def test_ids_cannot_be_guessed(portal: Portal, start: Start) -> None:
    agent = start().agent()
    portal.hold("/results")
    ids = {agent.call("triage", service="portal", since=f"200{day}-01-01")["taskId"] for day in range(4)}
    assert len(ids) == 4
    assert {len(each) for each in ids} == {32}, "24 random bytes"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("arguments", "{"),
        ("arguments", "[1]"),
        ("status", "eaten"),
        ("follows", ""),
        ("tool", "no_such_tool"),
        ("expires_at", "soon"),
        ("questions", '{"number": "x"}'),
    ],
)
def test_a_damaged_row_is_said_to_be_one(
    column: str, value: str, portal: Portal, start: Start, stored: Callable[..., list[Any]]
) -> None:
    agent = start().agent()
    made = agent.call("run_tests", **portal.order())
    stored(f"UPDATE tasks SET {column} = ?", value)
    error = agent.task("get", made["taskId"])["error"]
    assert error["code"] == -32603
    assert "The task is damaged" in error["message"]


def test_a_task_that_has_expired_is_said_to_have_and_is_deleted(
    portal: Portal, start: Start, stored: Callable[..., list[Any]]
) -> None:
    agent = start().agent()
    made = agent.call("run_tests", **portal.order())
    assert made["ttlMs"] == 24 * 3600 * 1000
    stored("UPDATE tasks SET expires_at = 1")
    assert "expired" in agent.task("get", made["taskId"])["error"]["message"]
    portal.finish()
    agent.call("run_tests", **portal.order())
    assert agent.task("get", made["taskId"])["error"] == NOT_FOUND


def test_a_task_that_is_asked_for_is_kept_for_another_day(
    portal: Portal, start: Start, stored: Callable[..., list[Any]]
) -> None:
    agent = start().agent()
    made = agent.call("run_tests", **portal.order())
    stored("UPDATE tasks SET created_at = created_at - 80000, expires_at = expires_at - 80000")
    assert agent.get(made["taskId"])["ttlMs"] > 80_000_000 + 24 * 3_600_000 - 60_000
    assert agent.get(made["taskId"])["ttlMs"] > 80_000_000 + 24 * 3_600_000 - 60_000


def test_a_database_that_is_away_is_said_to_be_and_calls_are_answered_plainly(
    portal: Portal, start: Start, tmp_path: Path
) -> None:
    agent = start("postgresql://127.0.0.1:9/nowhere").agent()
    error = agent.task("get", "any")["error"]
    assert error["code"] == -32603
    assert "The database of tasks does not answer" in error["message"]
    plain = agent.call("run_tests", **portal.order())
    assert plain["resultType"] == "complete"
    assert plain["structuredContent"]["job_uid"]


def test_a_database_without_an_encoding_is_said_to_be_one(start: Start) -> None:
    with fresh_database("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0") as url:
        server = start(url)
        error = server.agent().task("get", "any")["error"]
        server.close()
    assert "has the encoding SQL_ASCII" in error["message"]


def test_who_asks_too_often_is_told_so(start: Start) -> None:
    agent = start(more=f"[http]\ncalls_per_minute = 3\n{callers(alice='observe')}").agent("alice")
    said = [agent.task("get", "any")["error"]["message"] for _ in range(4)]
    assert said[:3] == [NOT_FOUND["message"]] * 3
    assert "calls_per_minute" in said[3]


def test_a_header_that_names_another_task_and_a_client_without_tasks_are_refused(start: Start) -> None:
    agent = start().agent()
    assert agent.rpc("tasks/get", "other", taskId="this")["error"]["code"] == -32020
    assert agent.rpc("tasks/get", "this", {}, taskId="this")["error"]["code"] == -32021
