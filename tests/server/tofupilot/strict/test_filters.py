"""A filter that cannot be applied is refused by its name: an empty list would say that there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.strict.conftest import Strict

FILTERS = {
    "outcome": ("outcome", "fail", "pass"),
    "part": ("part", "PN", "OTHER"),
    "test": ("test", "FVT1", "Nothing"),
    "station": ("station", "FVT-01", "FVT-99"),
    "filter": ("filter", "SN", "other"),
    "since": ("since", "2024-09-05T00:00Z", "2024-09-06T00:00Z"),
    "until": ("until", "2024-09-06T00:00Z", "2024-09-05T00:00Z"),
}


@pytest.mark.parametrize("name", list(FILTERS))
async def test_v1_applies_a_filter_or_refuses_it_by_its_name(
    name: str, strict: Strict, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    strict.record("SN-1", passed=False)
    argument, fitting, other = FILTERS[name]
    async with connect(strict.config("v1")) as client:
        arguments = {"service": "factory", "unit": "SN-1"}
        if name in ("outcome", "since", "until"):
            assert (await ask(client, "list_runs", **arguments, **{argument: fitting}))["services"][0]["total"] == 1
            assert (await ask(client, "list_runs", **arguments, **{argument: other}))["runs"] == []
            return
        for value in (fitting, other):
            told = await refused(client, "list_runs", **arguments, **{argument: value})
            assert f"factory cannot list runs by {name}. It speaks TofuPilot API v1" in told
            assert "api_version v2 take" in told


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_an_outcome_that_no_run_can_have_is_refused(
    version: str, strict: Strict, connect: Connect, refused: RefusedCaller
) -> None:
    strict.record("SN-1", passed=False)
    async with connect(strict.config(version)) as client:
        told = await refused(client, "list_runs", unit="SN-1", outcome="skip")
    assert "No run of factory ends with outcome skip. Its outcomes: pass, fail, error, stopped" in told


async def test_services_that_can_are_asked_all_the_same(
    strict: Strict, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    table = strict.config("v1").replace("factory", "old").partition("[services")[2]
    async with connect(f"{sim.config_toml()}\n[services{table}") as client:
        run = (await ask(client, "list_runs", service="factory", limit=1))["runs"][0]
        told = await ask(client, "list_runs", unit=run["unit"], test=run["test"])
    shares = {share["service"]: share for share in told["services"]}
    assert shares["factory"]["shown"] >= 1
    assert "cannot list runs by test" in shares["old"]["cannot"]
    assert "total" not in shares["old"]
