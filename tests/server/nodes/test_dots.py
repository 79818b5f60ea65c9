"""A node named `..` is none: it reaches neither a path, where it would lead elsewhere, nor a body."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller

CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_nodes", {"node_ids": ["{}"]}),
    ("list_nodes", {"node_ids": ["{}"], "detail": True}),
    ("grab_screenshot", {"node_id": "{}"}),
    ("reserve_nodes", {"node_ids": ["{}"], "message": "m", "duration_minutes": 1}),
    ("press_key", {"node_id": "{}", "key": "KEY_OK"}),
    ("run_tests", {"node_id": "{}", "test_pack_revision": "main", "test_cases": ["tests/a.py::test_a"]}),
    ("get_job", {"node_id": "{}"}),
)


@pytest.mark.parametrize("name", ["..", ".", "portal:..", "../user", "..%2Fuser", "a/../../user"])
async def test_a_node_of_dots_is_refused_before_anything_is_asked_about_it(
    name: str, fresh_sim: SimLab, connect: Connect, refused: RefusedCaller
) -> None:
    def filled(value: Any) -> Any:
        return [filled(item) for item in value] if isinstance(value, list) else str(value).replace("{}", name)

    async with connect('[server]\ntoolsets = ["all"]\n' + fresh_sim.config_toml()) as client:
        for tool, arguments in CALLS:
            exact = {key: value if isinstance(value, bool | int) else filled(value) for key, value in arguments.items()}
            told = await refused(client, tool, **exact)
            assert "failed" in told or "Not allowed" in told, tool
    root = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]
    async with httpx2.AsyncClient(trust_env=False) as outside:
        rows = (await outside.get(f"{root}/_sim/requests")).json()["requests"]
    changes = [row for row in rows if row["method"] != "GET"]
    assert changes == []
    assert [row["path"] for row in rows if ".." in row["path"] or row["path"].endswith(("/user", "/nodes/."))] == []
