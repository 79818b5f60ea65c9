"""Words the tests of the portal share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

STEADY = "tests/menu.py::test_that_menu_appears_when_menu_key_is_pressed"


@pytest.fixture
def start() -> Callable[..., dict[str, Any]]:
    """Starts a job of one steady test case and gives its JSON."""

    def run(client: httpx2.Client, node_id: str, **fields: Any) -> dict[str, Any]:
        body = {"node_id": node_id, "test_pack_revision": "main", "test_cases": [STEADY], **fields}
        answer = client.post("/run_tests", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return run


@pytest.fixture
def finish(start: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Starts a job, waits until it has ended and gives its JSON."""

    def run(client: httpx2.Client, node_id: str, **fields: Any) -> dict[str, Any]:
        job = start(client, node_id, **fields)
        answer = client.get(f"/jobs{job['job_uid']}/await_completion")
        assert answer.status_code == 200, answer.text
        return client.get(f"/jobs{job['job_uid']}").json()

    return run
