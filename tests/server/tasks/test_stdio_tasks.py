"""Tasks over stdio: the process ends with its client, and the next one knows the task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.server_processes import start_server
from tests.task_client import TASKS

if TYPE_CHECKING:
    from tests.server.tasks.conftest import Portal

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": TASKS,
}


def ask_once(config: Path, method: str, **params: Any) -> dict[str, Any]:
    """The result of one request to a server that is started for it and ends with it."""
    with start_server("serve", "--config", str(config)) as process:
        assert process.stdin
        assert process.stdout
        sent = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}
        process.stdin.write(json.dumps(sent) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        process.communicate(timeout=20)
    return answer["result"]


def test_a_task_outlives_the_process_that_its_client_ended(portal: Portal, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    durable = f"[durable]\npath = '{tmp_path / 'work.sqlite'}'\n[audit]\nenabled = false\n"
    config.write_text(durable + portal.table, encoding="utf-8")
    for _ in range(2):  # the second start answers from what the first has written down
        declared = ask_once(config, "server/discover")["capabilities"]["extensions"]
        assert declared["io.modelcontextprotocol/tasks"] == {}
    made = ask_once(config, "tools/call", name="run_tests", arguments=portal.order())
    assert made["resultType"] == "task"
    assert ask_once(config, "tasks/get", taskId=made["taskId"])["status"] == "working"
    portal.finish()
    done = ask_once(config, "tasks/get", taskId=made["taskId"])
    assert (done["status"], done["result"]["structuredContent"]["finished"]) == ("completed", True)
