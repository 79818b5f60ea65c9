"""A client in the protocol of 2026-07-28, over plain HTTP, that takes tasks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

TASKS: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
ENDED = ("completed", "failed", "cancelled")


class Agent:
    """Somebody's client of one server; by default it takes tasks."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url
        self._http = httpx2.Client(timeout=60, headers={"Authorization": f"Bearer {token}"} if token else {})

    def close(self) -> None:
        self._http.close()

    def rpc(self, method: str, named: str = "", capabilities: dict[str, Any] = TASKS, **params: Any) -> dict[str, Any]:
        """A request's result or error."""
        headers, body = _write_request(method, named, capabilities, params)
        reply = self._http.post(self._url, json=body, headers=headers)
        if reply.headers["content-type"].startswith("text/event-stream"):
            lines = [line for line in reply.text.splitlines() if line.startswith("data:") and "jsonrpc" in line]
            return json.loads(lines[-1].removeprefix("data:"))
        return reply.json()

    @contextmanager
    def listen(self, *task_ids: str) -> Generator[Iterator[dict[str, Any]]]:
        """The messages of a stream that listens to tasks, each waited for at most 20 s."""
        headers, body = _write_request("subscriptions/listen", "", TASKS, {"notifications": {"taskIds": task_ids}})
        with self._http.stream("POST", self._url, json=body, headers=headers, timeout=20) as reply:
            lines = (line for line in reply.iter_lines() if line.startswith("data:") and "jsonrpc" in line)
            yield (json.loads(line.removeprefix("data:")) for line in lines)

    def call(self, tool: str, capabilities: dict[str, Any] = TASKS, **arguments: Any) -> dict[str, Any]:
        """A call's result: a task, or the tool's own."""
        return self.rpc("tools/call", tool, capabilities, name=tool, arguments=arguments)["result"]

    def task(self, method: str, task_id: str, **params: Any) -> dict[str, Any]:
        """The answer of `tasks/get`, `tasks/update` or `tasks/cancel`, or its error."""
        return self.rpc(f"tasks/{method}", task_id, taskId=task_id, **params)

    def get(self, task_id: str) -> dict[str, Any]:
        return self.task("get", task_id)["result"]

    def until(self, task_id: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The task once something is true of it."""
        deadline = time.monotonic() + 40
        while not true(task := self.get(task_id)):
            assert time.monotonic() < deadline, task
            time.sleep(0.05)
        return task

    def end(self, task_id: str) -> dict[str, Any]:
        return self.until(task_id, lambda task: task["status"] in ENDED)


def _write_request(
    method: str, named: str, capabilities: dict[str, Any], params: dict[str, Any]
) -> tuple[dict[str, str], dict[str, Any]]:
    """The headers and the body of a request."""
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": method,
        **({"Mcp-Name": named} if named else {}),
    }
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }
    return headers, {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta, **params}}
