"""What is planted in the simulated lab is found by the tools, and nothing else is called different."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from mcp_types import ImageContent
from PIL import Image

from testlab_sim.production import effects as fx
from testlab_sim.stbtester.test_pack import BROKEN, CURRENT, FLAKY_EPG, RELEASED
from tests.fixture_types import Connect, ToolCaller
from tests.server.statistics.conftest import ALL_TIME

FVT, EOL = "Main board FCT", "Assembly end-of-line"


def differing(answer: dict[str, Any]) -> dict[str, str]:
    """The groups that are called different, and how."""
    return {row["group"]: row["differs"] for row in answer["rows"] if "differs" in row}


async def test_the_bad_station_ends_more_often_without_verdict_and_no_other_station_differs(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    """At the test that the drift leaves alone, and at the one where it does not."""
    async with connect(config) as client:
        found = await ask(client, "summarize_runs", metric="first_pass_yield", group_by="station", since=ALL_TIME)
    assert set(differing(found)) == {fx.BAD_STATION}
    assert differing(found)[fx.BAD_STATION].startswith("more error, timeout or aborted than the rest")
    bad = next(row for row in found["rows"] if row.get("differs"))
    assert found["groups"] == 12
    (why,) = bad["fails_at"]
    assert "DMM not responding" in why
    assert "no difference is shown" in bad["differs"]


async def test_the_bad_batch_is_the_only_one_that_is_worse(config: str, connect: Connect, ask: ToolCaller) -> None:
    async with connect(config) as client:
        found = await ask(
            client, "summarize_runs", metric="first_pass_yield", group_by="batch", test=EOL, since=ALL_TIME
        )
    assert set(differing(found)) == {fx.BAD_BATCH}
    row = found["rows"][0]
    assert row["differs"].startswith("worse than the rest")
    assert row["interval"][0] < 0.8 * (1 - fx.BASE_FAIL["EOL1"]) + 0.05 < row["interval"][1] + 0.05
    (why,) = row["fails_at"]
    assert "tuner_snr_db" in why
    assert "no difference is shown" in row["differs"]


async def test_of_all_measurements_the_one_of_the_bad_batch_comes_first(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        found = await ask(client, "measurement_stats", test=EOL, group_by="batch", since=ALL_TIME)
        by_station = await ask(client, "measurement_stats", test=EOL, since=ALL_TIME)
    assert found["rows"][0]["measurement"] == "tuner_snr_db"
    assert [group["group"] for group in found["rows"][0]["groups"]] == [fx.BAD_BATCH]
    assert not any("groups" in row for row in found["rows"][1:])
    assert not any("groups" in row for row in by_station["rows"])
    assert by_station["groups"] == found["groups"] == len(found["rows"])


async def test_the_drift_is_a_slope_with_the_planted_rate_and_the_change_of_limits_is_told(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        found = await ask(client, "measurement_stats", test=FVT, measurement="rail_5v", since=ALL_TIME)
    drift = found["drift"]
    assert (drift["shape"], "since" in drift) == ("slope", False)
    low, high = drift["per_day_interval"]
    assert low <= fx.RAIL_SLOPE <= high
    assert drift["before"] - fx.RAIL_START < 0.005
    assert drift["reaches"]["limit"] == 5.1
    changed = datetime.fromisoformat(found["limits"][0]["since"])
    planted = datetime.now(UTC) - timedelta(days=fx.DAYS - fx.LIMITS_DAY)
    assert abs(changed - planted) < timedelta(days=2)
    assert [(period["lower"], period["upper"]) for period in found["limits"]] == [(4.9, 5.1), (4.85, 5.15)]
    assert not any("differs" in row for row in found["rows"]), "no station measures otherwise"


async def test_a_measurement_without_drift_has_none_and_its_bad_batch_differs(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        level = await ask(client, "measurement_stats", test=FVT, measurement="hdmi_level", since=ALL_TIME)
        snr = await ask(
            client, "measurement_stats", test=EOL, measurement="tuner_snr_db", since=ALL_TIME, group_by="batch"
        )
    assert level["drift"].get("shape", "none shown") == "none shown"
    assert set(differing(snr)) == {fx.BAD_BATCH}
    assert "one side only" in snr["note"]


async def test_the_broken_test_case_is_told_with_the_revision_that_broke_it(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        found = await ask(client, "flakiness", since=ALL_TIME)
    assert [test["test"] for test in found["tests"] if test["state"] == "broken"] == [BROKEN]
    change = found["tests"][0]["change"]
    assert (change["from_revision"], change["to_revision"]) == (RELEASED.sha[:10], CURRENT.sha[:10])
    flaky = next(test for test in found["tests"] if test["test"] == FLAKY_EPG)
    assert flaky["state"] == "flaky"
    assert flaky["interval"][0] < 0.65 < flaky["interval"][1]
    changed = [test["test"] for test in found["tests"] if "change" in test]
    assert changed == [BROKEN]
    assert len(found["nodes_down"]) == 1, "the node that has lost its picture"


async def test_a_test_case_asked_alone_is_told_as_among_all(config: str, connect: Connect, ask: ToolCaller) -> None:
    async with connect(config) as client:
        every = await ask(client, "flakiness", since=ALL_TIME, limit=200)
        for test in (BROKEN, FLAKY_EPG):
            alone = await ask(client, "flakiness", test=test, since=ALL_TIME)
            listed = next(one for one in every["tests"] if one["test"] == test)
            figures = ("state", "n", "passed", "left_out")
            assert [alone["tests"][0][name] for name in figures] == [listed[name] for name in figures]
            assert alone["tests"][0].get("change", {}).get("run_id") == listed.get("change", {}).get("run_id")
            assert alone["nodes_down"] == every["nodes_down"]


async def test_of_two_revisions_the_broken_case_is_told_first(config: str, connect: Connect, ask: ToolCaller) -> None:
    async with connect(config) as client:
        found = await ask(client, "compare_runs", a=f"revision:{RELEASED.sha}", b=f"revision:{CURRENT.sha[:12]}")
    assert found["tests"][0]["test"] == BROKEN
    assert found["tests"][0]["differs"].startswith("b worse")
    assert "Under b alone: 3." in found["note"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("summarize_runs", {"metric": "failures", "chart": True}),
        ("summarize_runs", {"metric": "first_pass_yield", "group_by": "station", "chart": True}),
        ("summarize_runs", {"metric": "first_pass_yield", "group_by": "day", "test": FVT, "chart": True}),
        ("summarize_runs", {"metric": "duration", "group_by": "station", "test": FVT, "chart": True}),
        ("compare_runs", {"a": f"revision:{RELEASED.sha}", "b": f"revision:{CURRENT.sha}", "chart": True}),
        ("measurement_stats", {"test": FVT, "measurement": "rail_5v", "chart": "control_chart"}),
    ],
)
async def test_a_chart_comes_beside_the_same_figures(
    config: str, connect: Connect, ask: ToolCaller, tool: str, arguments: dict[str, Any]
) -> None:
    async with connect(config) as client:
        plain = await ask(client, tool, **{name: value for name, value in arguments.items() if name != "chart"})
        drawn = await client.call_tool(tool, arguments)
    (image,) = [block for block in drawn.content if isinstance(block, ImageContent)]
    assert Image.open(BytesIO(b64decode(image.data))).width == 1024
    assert drawn.structured_content is not None
    figures = {"total", "rows", "mean", "capability", "drift"} & plain.keys()
    assert {name: drawn.structured_content[name] for name in figures} == {name: plain[name] for name in figures}
