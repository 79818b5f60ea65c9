"""Triage over three services of the simulated lab, against what its own endpoints say truly failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp_types import CallToolResult

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.commands.tools import count_tokens
from testlab_sim.production.effects import BAD_STATION
from testlab_sim.stbtester.nodes import LOOSE_HDMI
from testlab_sim.stbtester.test_pack import BROKEN, CURRENT, FLAKY_EPG, RELEASED
from tests.answer_text import read_answer
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.lab_processes import LabProcess

if TYPE_CHECKING:
    from tests.server.analysis.conftest import Truth

FVT = "Main board FCT"
DMM = "DMM not responding on GPIB0::22"


@pytest.fixture(scope="module")
def sim() -> Iterator[SimLab]:
    """A simulated lab that nobody records into: what truly failed in it is known."""
    with LabProcess() as lab:
        lab.services()
        yield lab


@pytest.fixture
def window(sim: SimLab, truth_of: Callable[[Any], Truth]) -> tuple[Any, dict[str, str]]:
    """What truly failed in some days, and the arguments that ask for them."""
    truth = truth_of(sim)
    return truth, {"since": truth.since.isoformat(), "until": truth.until.isoformat()}


@pytest.fixture
def fault(fresh_sim: SimLab) -> Iterator[Callable[..., None]]:
    """Set a fault in the fresh lab."""
    root = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]

    def post(**fault: Any) -> None:
        httpx2.post(f"{root}/_sim/faults", json=fault).raise_for_status()

    yield post
    httpx2.delete(f"{root}/_sim/faults")


def told(group: dict[str, Any]) -> tuple[Any, ...]:
    """A group's counts, in the order of `true`."""
    return (
        group["failures"],
        group["runs"],
        group.get("units", 0),
        len(group["by_station"]) + group.get("more_stations", 0),
        group["first_seen"],
        group["last_seen"],
        group.get("new", False),
        group["run_id"],
    )


def true(facts: list[Any], earlier: list[Any]) -> tuple[Any, ...]:
    """The same of what truly failed, oldest first, and what failed so before the window."""
    return (
        len(facts),
        len({f.run_id for f in facts}),
        len({f.unit for f in facts if f.unit}),
        len({f.station for f in facts}),
        minute((earlier or facts)[0].at),
        minute(facts[-1].at),
        not earlier,
        facts[-1].run_id,
    )


def minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%MZ")


async def test_a_week_is_told_in_2500_tokens_with_the_facts_of_its_structure(
    sim: SimLab, connect: Connect, text_of: Callable[[CallToolResult], str]
) -> None:
    async with connect(sim.config_toml()) as client:
        result = await client.call_tool("triage", {"since": "7d"})
    assert result.structured_content is not None
    assert len(result.structured_content["groups"]) >= 10
    assert read_answer(text_of(result)) == result.structured_content
    assert count_tokens(text_of(result)) <= 2_500 < count_tokens(result.structured_content)


async def test_totals_over_three_services_are_what_truly_failed(
    window: tuple[Any, dict[str, str]], sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    truth, span = window
    async with connect(sim.config_toml()) as client:
        answer = await ask(client, "triage", **span)
    facts, causes = truth.counted(), truth.causes()
    totals = answer["totals"]
    assert {f.service for f in facts} == {"portal", "factory", "cloud"}
    assert totals["failures"] == len(facts)
    assert totals["runs"] == len({f.run_id for f in facts})
    assert totals["samples"] == truth.samples() > 0
    assert totals["causes"] == len(causes)
    assert totals["new"] == len(causes.keys() - truth.causes_before().keys())
    shares = {s["service"]: s.get("failures", 0) for s in answer["services"]}
    assert shares == {s: sum(f.service == s for f in facts) for s in ("portal", "factory", "cloud")}
    shown = [g["runs"] for g in answer["groups"]]
    heaviest = sorted((len({f.run_id for f in same}) for same in causes.values()), reverse=True)
    assert 10 <= len(shown) <= 15
    assert shown == heaviest[: len(shown)]
    assert count_tokens(answer) <= 4_000
    assert answer["note"].startswith(f"{len(causes) - len(shown)} more causes with ")
    assert "pass cursor" in answer["note"]


async def test_every_group_of_every_test_has_its_true_counts(
    window: tuple[Any, dict[str, str]], sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    truth, span = window
    async with connect(sim.config_toml()) as client:
        for service, test in sorted({(f.service, f.test) for f in truth.counted()}):
            answer = await ask(client, "triage", service=service, test=test, limit=50, **span)
            assert "cursor" not in answer
            before = truth.causes_before(test)
            expected = [true(facts, before.get(key, [])) for key, facts in truth.causes(test).items()]
            assert sorted(map(told, answer["groups"])) == sorted(expected), test


async def test_a_test_that_truly_wavers_is_flaky_with_its_numbers(
    window: tuple[Any, dict[str, str]], sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    _, span = window
    async with connect(sim.config_toml()) as client:
        groups = (await ask(client, "triage", test=FLAKY_EPG, service="portal", **span))["groups"]
    (group,) = [g for g in groups if g["reason"] == "EPG is empty"]
    assert group["class"] == "flaky"
    assert "To and fro" in group["evidence"]


async def test_a_test_that_its_revision_broke_is_the_products(
    window: tuple[Any, dict[str, str]], sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    _, span = window
    async with connect(sim.config_toml()) as client:
        groups = (await ask(client, "triage", test=BROKEN, service="portal", **span))["groups"]
    (group,) = [g for g in groups if "subtitles-french" in g["reason"]]
    assert group["class"] == "product"
    assert ", 0 passes on its revision." in group["evidence"]


async def test_when_a_test_broke_is_told_with_the_revision_though_it_was_before_the_window(
    sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        (group,) = (await ask(client, "triage", reason="subtitles-french", service="portal", since="3d"))["groups"]
        listed = [await ask(client, "list_runs", test=BROKEN, service="portal", outcome="pass", limit=1)]
        passed = listed[0]["runs"][0]
        later = {"since": passed["started_at"], "sort": "oldest", "limit": 2}
        failed = (await ask(client, "list_runs", test=BROKEN, service="portal", **later))["runs"][1]
    broke = group["broke"]
    runs = {"last_pass": (passed, RELEASED), "first_failure": (failed, CURRENT)}
    assert broke == {
        name: {"run_id": run["run_id"], "started_at": run["started_at"], "revision": revision.sha[:12]}
        for name, (run, revision) in runs.items()
    }


async def test_the_node_without_video_is_one_cause_of_infrastructure_and_the_heaviest(
    window: tuple[Any, dict[str, str]], sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    truth, span = window
    dark = [f for f in truth.counted() if f.cause == "No video"]
    async with connect(sim.config_toml()) as client:
        answers = [
            await ask(client, "triage", station=LOOSE_HDMI, service="portal", **span),
            await ask(client, "triage", **span),
        ]
    (node,) = {f.station for f in dark}
    for answer in answers:
        group = answer["groups"][0]
        assert (group["reason"], group["class"]) == ("No video", "infrastructure")
        assert group["by_station"] == {node: len(dark)}
        assert group["tests"] == len({f.test for f in dark})
        assert group["broke"]["first_failure"]["run_id"] in {f.run_id for f in truth.facts if f.cause == "No video"}


async def test_runs_of_a_category_or_a_user_are_counted_where_a_service_has_them_and_others_say_that_they_cannot(
    sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        of = {name: await ask(client, "triage", since="9d", user=name) for name in ("you", "colleague", "nightly")}
        every = await ask(client, "triage", since="9d", service="portal")
        nightly = await ask(client, "triage", since="9d", category="nightly")
        one = await ask(client, "triage", since="9d", unit="STB4K-003001")
    assert every["totals"]["runs"] == sum(answer["totals"]["runs"] for answer in of.values())
    assert nightly["totals"]["runs"] == of["nightly"]["totals"]["runs"] > 0
    shares = {share["service"]: share for share in nightly["services"]}
    assert "cannot list runs by category" in shares["factory"]["cannot"]
    assert "cannot list runs by category" in shares["cloud"]["cannot"]
    shares = {share["service"]: share for share in one["services"]}
    assert "cannot find runs by serial number" in shares["portal"]["cannot"]


async def test_a_silent_instrument_is_infrastructure_and_a_rail_beyond_its_limits_the_products(
    window: tuple[Any, dict[str, str]], sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    truth, span = window
    async with connect(sim.config_toml()) as client:
        groups = (await ask(client, "triage", test=FVT, service="factory", limit=50, **span))["groups"]
    (silent,) = [g for g in groups if DMM in g["reason"]]
    assert silent["class"] == "infrastructure"
    at = {f.station for f in truth.counted() if f.test == FVT and isinstance(f.cause, str) and DMM in f.cause}
    assert BAD_STATION in at
    assert set(silent["by_station"]) == at
    rails = [g for g in groups if g["reason"].startswith("rail_5v") and "above" in g["reason"]]
    assert rails
    assert {g["class"] for g in rails if g["failures"] > 1} == {"product"}


async def test_a_service_killed_midway_is_told_and_the_others_are_whole(
    fresh_sim: SimLab,
    truth_of: Callable[[Any], Truth],
    fault: Callable[..., None],
    connect: Connect,
    ask: ToolCaller,
    no_backoff: None,
) -> None:
    truth = truth_of(fresh_sim)
    span = {"since": truth.since.isoformat(), "until": truth.until.isoformat()}
    fault(service="tofupilot", path_prefix="/api/v2/phases", action="reset", times=0)
    async with connect(fresh_sim.config_toml()) as client:
        answer = await ask(client, "triage", **span)
        fault(service="stbtester", action="reset", times=0)
        fewer = await ask(client, "triage", **span)
    shares = {s["service"]: s for s in answer["services"]}
    assert "factory" in shares["factory"]["error"]
    assert "Nothing of factory is in this" in answer["note"]
    for service in ("portal", "cloud"):
        assert shares[service]["failures"] == sum(f.service == service for f in truth.counted())
    assert {g["service"] for g in fewer["groups"]} == {"cloud"}
    assert "Nothing of portal, factory is in this" in fewer["note"]


async def test_with_every_service_down_triage_is_an_error(
    fresh_sim: SimLab, fault: Callable[..., None], connect: Connect, refused: RefusedCaller, no_backoff: None
) -> None:
    fault(action="reset", times=0)
    async with connect(fresh_sim.config_toml()) as client:
        said = await refused(client, "triage")
    assert "triage failed: Service" in said


async def test_a_service_that_holds_runs_but_lists_no_failures_is_named(
    sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    url, token = (sim.services()["tofupilot"][key] for key in ("url", "token"))
    old = f'[services.old]\nkind = "tofupilot"\napi_version = "v1"\nurl = "{url}"\ntoken = "{token}"\n'
    async with connect(sim.config_toml() + old) as client:
        answer = await ask(client, "triage")
    (share,) = [s for s in answer["services"] if s["service"] == "old"]
    assert "Cannot list failures of many runs" in share["cannot"]
    assert "Nothing of old is in this" in answer["note"]
