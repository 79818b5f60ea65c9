"""The protocol's own client of tasks, `@modelcontextprotocol/ext-tasks` 0.2.2, on this server with the fixtures of the
conformance suite; and a question that is asked by one server and answered to another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.task_client import Agent

HERE = Path(__file__).parent
Serve = Callable[[list[str]], AbstractContextManager[str]]


@pytest.fixture
def program(server_config: Path) -> list[str]:
    fixtures = [sys.executable, "-m", "tests.clients.conformance.fixture_server"]
    return [*fixtures, "serve", "--config", str(server_config)]


@pytest.fixture
def url(serve: Serve, program: list[str]) -> Iterator[str]:
    with serve(program) as at:
        yield at


def test_the_package_takes_tasks_answers_them_and_cancels_them(
    url: str, node: str, node_modules: Callable[[Path], Path], client_settings: dict[str, str], tmp_path: Path
) -> None:
    calls = [
        ("greet", {"name": "Ann"}),
        ("slow_compute", {"seconds": 2, "label": "it"}),
        ("confirm_delete", {"filename": "f"}),
        ("multi_input", {}),
        ("test_tool_with_task", {}),
        ("failing_job", {}),
        ("protocol_error_job", {}),
        ("slow_compute", {"seconds": 60}, "cancel"),
    ]
    answer = tmp_path / "answer.json"
    script = HERE / "scripts" / "with_ext_tasks.mjs"
    done = subprocess.run(
        [node, script, node_modules(HERE / "ext-tasks"), json.dumps({"url": url, "calls": calls}), answer],
        env=client_settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    told = said["told"]
    assert [each["kind"] for each in told] == ["immediate", *["task"] * 7]
    assert [each["status"] for each in told] == ["completed"] * 6 + ["failed", "cancelled"]
    texts = [each["result"]["content"][0]["text"] for each in told[:6]]
    assert texts[0] == "Hello, Ann!"
    assert "Computed it." in texts[1]
    assert texts[2:5] == ["Agreed: True, asked.", "['Ann', 'Ann']", "Hello, Ann!"]
    assert told[5]["result"]["isError"] is True
    assert told[6]["error"] == "This job breaks"
    assert said["asked"] == ["Delete f?", "first?", "second?", "What is your name?"]
    assert said["version"] == "2026-07-28"


def test_what_one_server_asks_is_answered_to_another(serve: Serve, program: list[str]) -> None:
    with serve(program) as first:
        agent = Agent(first)
        made = agent.call("confirm_delete", filename="f")
        asked = agent.until(made["taskId"], lambda task: task["status"] == "input_required")
        agent.close()
    ((key, request),) = asked["inputRequests"].items()
    assert request["params"]["message"] == "Delete f?"
    with serve(program) as second:
        agent = Agent(second)
        answers = {key: {"action": "accept", "content": {"confirm": True}}, "9.unknown": {"action": "decline"}}
        malformed = agent.task("update", made["taskId"], inputResponses={key: {"action": "perhaps"}})
        assert malformed["error"]["code"] == -32602
        assert agent.task("update", made["taskId"], inputResponses=answers)["result"]["resultType"] == "complete"
        done = agent.end(made["taskId"])
        agent.close()
    assert done["result"]["content"][0]["text"] == "Agreed: True, asked."
