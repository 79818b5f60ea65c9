"""How many runs match is the same number whatever the limit, or it is not told as one."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, ToolCaller


async def walked(ask: ToolCaller, client: Client, **asked: Any) -> tuple[set[str], list[list[dict[str, Any]]]]:
    """The runs of all pages, and the shares that each page states."""
    runs, shares, cursor = set[str](), list[list[dict[str, Any]]](), ""
    while not shares or cursor:
        page = await ask(client, "list_runs", cursor=cursor, **asked)
        assert runs.isdisjoint(run["run_id"] for run in page["runs"])
        runs |= {run["run_id"] for run in page["runs"]}
        shares.append(page["services"])
        cursor = page.get("cursor", "")
    return runs, shares


@pytest.mark.parametrize("service", ["portal", "factory", "cloud", ""])
async def test_totals_agree_over_limits_and_pages_with_the_runs_there_are(
    service: str, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        newest = (await ask(client, "list_runs", service=service, limit=150))["runs"]
        span = {"service": service, "since": newest[-1]["started_at"], "until": newest[0]["started_at"]}
        walks = [await walked(ask, client, limit=limit, **span) for limit in (40, 75, 200)]
    every = walks[0][0]
    assert len(every) > 130
    for runs, pages in walks:
        assert runs == every
        for share in (share for page in pages for share in page):
            count = sum(run.startswith(f"{share['service']}:") for run in runs)
            if "total" in share:
                assert share["total"] <= count if share.get("at_least") else share["total"] == count
        assert all("total" in share and "at_least" not in share for share in pages[-1])
