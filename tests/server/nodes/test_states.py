"""What is told of a node's state is the portal's word, by the portal's clock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm

YEARS = 3 * 365 * 86400.0


@pytest.mark.parametrize("clock", [{"action": "clock", "seconds": YEARS}, {"action": "clock", "seconds": -YEARS}])
async def test_a_node_that_the_portal_calls_available_is_free_whatever_a_clock_says(
    clock: dict[str, Any], farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    farm.fault("/nodes", "GET", **clock)
    async with connect(farm.config) as client:
        free = (await ask(client, "list_nodes", available=True))["nodes"]
    assert {node["node_id"] for node in free} == {f"portal:{node}" for node in farm.nodes}


@pytest.mark.parametrize(
    ("clock", "state"),
    [
        ({"action": "slow", "seconds": 0.0}, "licence expired"),
        ({"action": "clock", "seconds": -YEARS}, "unavailable"),
        ({"action": "no-clock"}, "unavailable"),
    ],
)
async def test_a_licence_is_judged_by_the_portals_date_or_not_at_all(
    clock: dict[str, Any], state: str, farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    node = next(n["node_id"] for n in farm.you.get("/nodes").json() if "licence" in (n["not_available_reason"] or ""))
    farm.fault("/nodes", "GET", **clock)
    async with connect(farm.config) as client:
        (told,) = (await ask(client, "list_nodes", node_ids=[node]))["nodes"]
    assert told["state"] == state
    assert state == "licence expired" or "licence expired" in told["why"]


@pytest.mark.parametrize("status", [503, 502])
async def test_a_node_is_offline_only_if_its_own_status_says_so(
    status: int, farm: Farm, connect: Connect, refused: RefusedCaller
) -> None:
    off = next(n["node_id"] for n in farm.you.get("/nodes").json() if not n["online"])
    farm.fault(f"/nodes/{farm.nodes[0]}/screenshot.png", "GET", status=status)
    async with connect(farm.config) as client:
        assert "is offline" not in await refused(client, "grab_screenshot", node_id=farm.nodes[0])
        assert f"Node 'portal:{off}' is offline" in await refused(client, "grab_screenshot", node_id=off)


async def test_what_is_no_picture_leaves_no_file_and_does_not_block_the_next_call(
    farm: Farm, connect: Connect, refused: RefusedCaller, tmp_path: Path
) -> None:
    async with connect(farm.config) as client:
        for size in ("model", "thumbnail", "full"):
            for body in ("<html>sign in</html>", "\x89PNG\r\n\x1a\n"):
                farm.fault(f"/nodes/{farm.nodes[0]}/", "GET", status=200, body=body, media_type="image/png")
                given = {"node_id": farm.nodes[0], "size": size, "save_to": f"{size}.png"}
                assert "is not an image" in await refused(client, "grab_screenshot", **given)
                farm.calm()
                assert not list(tmp_path.rglob("*.png"))
            result = await client.call_tool("grab_screenshot", given)
            assert not result.is_error
            (tmp_path / f"{size}.png").unlink()


async def test_a_key_is_refused_for_what_is_missing_and_for_nothing_else(
    farm: Farm, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(farm.config) as client:
        assert "no such node" in await refused(client, "press_key", node_id="stb-tester-nowhere", key="KEY_OK")
        revision = {"node_id": farm.nodes[0], "key": "KEY_OK", "test_pack_revision": "feature/nope"}
        assert "no such revision" in await refused(client, "press_key", **revision)
        farm.fault(f"/nodes/{farm.nodes[0]}/press", "POST", status=404)
        told = await refused(client, "press_key", node_id=farm.nodes[0], key="KEY_OK")
        assert "no such node" not in told
        assert "may or may not have been pressed" in told
