"""The simulated lab's StandCloud through the tools and the capabilities, against what it says itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2
import pytest
from mcp import Client

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import parse_config
from testlab_tools.capabilities import FailureArchive
from testlab_tools.models.requests import RunQuery


@pytest.fixture
def own(sim: SimLab) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """The service's own answer: `own("test_run", part_number="STB-4K")`."""
    service = sim.services()["standcloud"]
    with httpx2.Client(trust_env=False, headers={"X-API-KEY": service["token"]}, timeout=20) as client:

        def get(path: str, **query: Any) -> list[dict[str, Any]]:
            return client.get(f"{service['url']}/integration/api/v1/{path}", params=query).raise_for_status().json()

        yield get


@pytest.mark.parametrize(
    "query",
    [
        {"manufacturer": "XYZ_Corp", "status": "fail"},
        {"firmware_version": "1.4.2", "number_of_attempt": "3"},
        {"test_stand_hw_id": "TS-BURN-01", "status": "STOP"},
        {"manufacturer": "Nobody"},
    ],
    ids=str,
)
async def test_any_filter_of_the_service_lists_what_the_service_lists(
    query: dict[str, str],
    sim: SimLab,
    connect: Callable[..., AbstractAsyncContextManager[Any]],
    ask: Callable[..., Any],
    own: Callable[..., list[dict[str, Any]]],
) -> None:
    text = "&".join(f"{key}={value}" for key, value in query.items())
    seen: list[str] = []
    async with connect(sim.config_toml()) as client:
        cursor = ""
        while True:
            page = await ask(client, "list_runs", service="cloud", filter=text, limit=100, cursor=cursor)
            seen += [run["run_id"] for run in page["runs"]]
            cursor = page.get("cursor", "")
            if not cursor:
                break
    assert sorted(seen) == sorted(f"cloud:{run['test_run_id']}" for run in own("test_run", **query))
    assert bool(seen) == (query != {"manufacturer": "Nobody"})


async def told_of(client: Client, ask: Callable[..., Any], **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    page = await ask(client, "list_runs", service="cloud", **arguments)
    return page, page["services"][0]


async def test_a_key_that_no_run_has_is_named_beside_those_that_runs_have(
    sim: SimLab, connect: Callable[..., AbstractAsyncContextManager[Any]], ask: Callable[..., Any]
) -> None:
    async with connect(sim.config_toml()) as client:
        page, share = await told_of(client, ask, filter="manufacturer=XYZ_Corp&firmware=1.4.2&status=fail")
        assert page["runs"] == []
        assert "none of 100 runs read of cloud has the filter's keys in keys_of_no_run" in page["note"]
        assert share["keys_of_no_run"] == ["firmware"]
        assert {"manufacturer", "firmware_version", "status", "serial_number"} <= set(share["keys_of_runs"])
        assert {"dut_info", "firmware", "test_stand_info"}.isdisjoint(share["keys_of_runs"])
        assert {"keys_of_no_run", "keys_of_runs"} <= set(page["untrusted"])
        assert "firmware" not in page["note"]

        found = "manufacturer=XYZ_Corp&firmware_version=1.4.2&status=fail"
        assert (await told_of(client, ask, filter=found))[0]["runs"] != []


@pytest.mark.parametrize(
    "arguments",
    [
        {"filter": "manufacturer=Nobody"},
        {"filter": "manufacturer=XYZ_Corp&firmware_version=9"},
        {"filter": "stop_time=2020-01-01T00:00:00Z"},
        {"filter": "firmware_version=1.4.2", "until": "2001-01-01"},
        {"unit": "NO-SUCH-UNIT"},
    ],
    ids=str,
)
async def test_a_value_that_no_run_has_is_a_plain_zero(
    arguments: dict[str, str],
    sim: SimLab,
    connect: Callable[..., AbstractAsyncContextManager[Any]],
    ask: Callable[..., Any],
) -> None:
    async with connect(sim.config_toml()) as client:
        page, share = await told_of(client, ask, **arguments)
    assert (page["runs"], share["total"]) == ([], 0)
    assert "keys_of_no_run" not in share
    assert "note" not in page


async def test_what_a_malformed_filter_is_told_to_be_like_finds_keys_that_runs_have(
    sim: SimLab,
    connect: Callable[..., AbstractAsyncContextManager[Any]],
    ask: Callable[..., Any],
    refused: Callable[..., Any],
) -> None:
    async with connect(sim.config_toml()) as client:
        said = await refused(client, "list_runs", service="cloud", filter="firmware")
        proposed = [word.rstrip(".") for word in said.split() if "=" in word and "&" in word]
        assert len(proposed) == 1
        _, share = await told_of(client, ask, filter=f"no_such_key=1&{proposed[0]}")
    assert share["keys_of_no_run"] == ["no_such_key"]


async def test_failures_are_those_of_the_service_newest_first(
    sim: SimLab, own: Callable[..., list[dict[str, Any]]]
) -> None:
    lab = parse_config(sim.config_toml()).lab()
    try:
        (archive,) = [a for a in lab.offering(FailureArchive) if a.kind == "standcloud"]
        found = await archive.list_failures(RunQuery(part="STB-4K"), 120)
    finally:
        await lab.aclose()
    failed = own("test_run", part_number="STB-4K", status="fail")[:120]
    assert [failure.run.run_id for failure in found.failures] == [f"cloud:{run['test_run_id']}" for run in failed]
    assert (found.runs, found.more, found.unread) == (120, True, 20)
    cases = [own(f"test_run/{run['test_run_id']}/failed_case")[0]["name"] for run in failed[:5]]
    assert [failure.case for failure in found.failures[:5]] == cases
    assert {failure.case for failure in found.failures[100:]} == {""}
