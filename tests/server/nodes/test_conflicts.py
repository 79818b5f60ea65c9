"""A node that is taken by oneself: said so, with how to go on, and no other node offered in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testlab_mcp.access.callers import Caller
from testlab_mcp.access.service_scope import OwnershipRegistry, ServiceScope
from testlab_tools.errors import Conflict
from testlab_tools.services import load_kind
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm


@pytest.mark.parametrize("tool", ["run_tests", "reserve_nodes", "press_key"])
async def test_ones_own_job_is_named_with_get_job(
    tool: str, farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(farm.config) as client:
        uid = (await ask(client, "run_tests", **farm.tests()))["job_uid"]
        if tool == "press_key":
            farm.fault("/nodes", "POST", status=409)
        key = {"node_id": farm.nodes[0], "key": "KEY_OK"}
        arguments = {"run_tests": farm.tests(), "reserve_nodes": farm.order(), "press_key": key}[tool]
        told = await refused(client, tool, **arguments)
    assert f"is running your own job {uid!r}" in told
    assert f"get_job(job_uid={uid!r}, wait_seconds=45)" in told
    assert "Free nodes" not in told


async def test_ones_own_reservation_is_named_with_how_to_keep_it(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(farm.config) as client:
        (made,) = (await ask(client, "reserve_nodes", **farm.order()))["reservations"]
        told = await refused(client, "reserve_nodes", **farm.order())
    assert "already reserved by you until" in told
    assert f"extend_reservation(reservation_id={made['reservation_id']!r})" in told
    assert "Free nodes" not in told


async def test_a_colleagues_job_is_answered_with_free_nodes(
    farm: Farm, connect: Connect, refused: RefusedCaller
) -> None:
    uid = farm.start(farm.colleague)
    async with connect(farm.config) as client:
        told = await refused(client, "run_tests", **farm.tests())
    assert f"is running job {uid!r}" in told
    assert "your own" not in told
    assert "Free nodes" in told


@pytest.mark.parametrize(("starter", "own"), [("erin", True), ("", True), ("alice", False)])
def test_to_a_caller_only_its_own_is_its_own_whoever_shares_the_token(starter: str, own: bool) -> None:
    module = load_kind("stbtester")
    portal = module.connect("portal", module.Settings.model_validate({"kind": "stbtester", "url": "http://[::1]:1"}))
    ownership = OwnershipRegistry()
    if starter:
        ownership.add_job("/n/0/1", starter)
    scope = ServiceScope(portal, Caller("erin"), ownership)
    told = str(scope.redact_conflict(Conflict("Node portal:n runs your own job", "", "get_job", own=["portal:/n/0/1"])))
    assert ("get_job" in told) == own
    assert ("another caller" in told) != own
