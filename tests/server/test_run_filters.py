"""A filter finds the runs that have what it asks for, or is refused: none is ever a silent "no runs"."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import parse_config
from testlab_tools.capabilities import RunArchive
from testlab_tools.errors import Unsupported
from testlab_tools.models.requests import RunQuery
from tests.fixture_types import Connect, ToolCaller

ADAPTERS = ("portal", "factory", "legacy", "cloud")
"""Services whose filters are held to this."""

GRAMMAR = {
    "portal": "testcase:{test}",
    "factory": "{unit}",
    "legacy": "{unit}",
    "cloud": "test_plan_name={test}",
}
"""A filter of the service's own that the run has."""

NEEDED = {"legacy": ("unit",)}
"""Filters without which a service lists nothing at all, and says so."""

NAMES = ("outcome", "unit", "part", "test", "station", "filter", "since", "until")
OUTCOMES = ("pass", "fail", "error", "skip", "stopped")
REFUSED = re.compile(r"cannot (list|find) runs by|lists runs only by|No run of \w+ ends with|given already")


@pytest.fixture(scope="module")
def config(sim: SimLab) -> str:
    """The three services, and the factory once more by API v1."""
    factory = sim.services()["tofupilot"]
    url, token = factory["url"], factory["token"]
    legacy = f'\n[services.legacy]\nkind = "tofupilot"\napi_version = "v1"\nurl = "{url}"\ntoken = "{token}"\n'
    return sim.config_toml() + legacy


async def known_run(ask: ToolCaller, client: Client, service: str) -> dict[str, Any]:
    """The newest run of a service that has all that the service tells of runs."""
    asked: dict[str, Any] = {"service": service, "limit": 200}
    if service == "legacy":
        of_factory = await known_run(ask, client, "factory")
        asked["unit"] = of_factory["unit"]
    runs = (await ask(client, "list_runs", **asked))["runs"]
    fields = {key for run in runs for key in run}
    return next(run for run in runs if fields <= run.keys() | {"reason", "sample", "attempt"})


def filters_of(run: dict[str, Any], service: str) -> dict[str, str]:
    """Each filter with what the run has; with something where the service tells nothing of the kind."""
    made = {name: run.get(name) or "SOME-1" for name in ("outcome", "unit", "part", "test", "station")}
    made["filter"] = GRAMMAR[service].format(**made)
    return made | {"since": run["started_at"], "until": "2099-01-01T00:00:00Z"}


CHOICES = [*((name,) for name in NAMES), *combinations(NAMES, 2), NAMES]


@pytest.mark.parametrize("service", ADAPTERS)
async def test_every_filter_finds_the_run_that_has_it_or_is_refused(
    service: str, config: str, connect: Connect, ask: ToolCaller, text_of: Callable[[CallToolResult], str]
) -> None:
    told: dict[str, str] = {}
    found = 0
    async with connect(config) as client:
        run = await known_run(ask, client, service)
        every = filters_of(run, service)
        for choice in CHOICES:
            wanted = {name: every[name] for name in {*choice, *NEEDED.get(service, ())}}
            result = await client.call_tool("list_runs", {"service": service, "limit": 50, **wanted})
            said = text_of(result)
            if result.is_error:
                if not REFUSED.search(said):
                    told[" ".join(choice)] = said
            elif run["run_id"] in {one["run_id"] for one in result.structured_content["runs"]}:
                found += 1
            else:
                told[" ".join(choice)] = f"{run['run_id']} is not in it: {said[-300:]}"
    assert told == {}
    assert found >= 3


@pytest.mark.parametrize("service", ADAPTERS)
async def test_every_outcome_lists_the_runs_that_ended_so_or_is_refused(
    service: str, config: str, connect: Connect, ask: ToolCaller, text_of: Callable[[CallToolResult], str]
) -> None:
    async with connect(config) as client:
        asked: dict[str, Any] = {"service": service, "limit": 200}
        if service in NEEDED:
            asked["unit"] = (await known_run(ask, client, service))["unit"]
        newest = (await ask(client, "list_runs", **asked))["runs"]
        for outcome in OUTCOMES:
            result = await client.call_tool("list_runs", {**asked, "outcome": outcome})
            ended_so = {run["run_id"] for run in newest if run["outcome"] == outcome}
            if result.is_error:
                assert REFUSED.search(text_of(result)), outcome
                assert not ended_so, outcome
            else:
                listed = result.structured_content["runs"]
                assert {run["outcome"] for run in listed} <= {outcome}
                assert ended_so <= {run["run_id"] for run in listed}, outcome


@pytest.mark.parametrize("service", ADAPTERS)
async def test_a_job_is_only_looked_for_where_there_are_jobs(service: str, config: str) -> None:
    """Beneath the tools: no argument of list_runs is a job."""
    lab = parse_config(config).lab()
    try:
        (archive,) = lab.offering(RunArchive, service)
        query = RunQuery(unit="SN-1" if service in NEEDED else "", job="/stb-tester-00044b80f101/0a21/90")
        if service == "portal":
            assert (await archive.list_runs(query, 5)).runs != []
        else:
            with pytest.raises(Unsupported, match="cannot list runs by job_uid"):
                await archive.list_runs(query, 5)
    finally:
        await lab.aclose()


async def test_over_all_services_a_filter_is_refused_by_those_that_cannot_apply_it(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        page = await ask(client, "list_runs", unit="SN-1", limit=5)
        run = (await ask(client, "list_runs", service="cloud", limit=1))["runs"][0]
        by_part = await ask(client, "list_runs", part=run["part"], limit=5)
    shares = {share["service"]: share for share in page["services"]}
    assert "cannot" in shares["portal"]["cannot"]
    assert "error" not in shares["portal"]
    assert "total" not in shares["portal"]
    shares = {share["service"]: share for share in by_part["services"]}
    for service in ("portal", "legacy"):
        assert "total" not in shares[service]
        assert shares[service]["cannot"]
