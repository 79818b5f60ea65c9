"""Charts beside figures: the model sees a PNG, save_to has the SVG or the PNG."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult, ImageContent
from PIL import Image

from tests.fixture_types import Connect, RefusedCaller
from tests.server.statistics.conftest import ALL_TIME

BOARD = {"test": "Main board FCT", "since": ALL_TIME}
RAIL = {**BOARD, "measurement": "rail_5v", "service": "factory"}


def image_of(result: CallToolResult) -> bytes:
    """The one image of an answer: a PNG of 1,024 px that fits a model's context."""
    assert not result.is_error, result.content
    (image,) = [block for block in result.content if isinstance(block, ImageContent)]
    assert image.mime_type == "image/png"
    data = base64.b64decode(image.data)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.width == 1024
    assert len(data) < 60 * 1024
    return data


@pytest.mark.parametrize(
    ("tool", "asked"),
    [
        ("summarize_runs", {**BOARD, "metric": "first_pass_yield", "group_by": "station", "chart": True}),
        ("summarize_runs", {**BOARD, "metric": "first_pass_yield", "group_by": "day", "chart": True, "limit": 5}),
        ("summarize_runs", {**BOARD, "metric": "failures", "group_by": "reason", "chart": True}),
        ("measurement_stats", {**RAIL, "chart": "histogram"}),
        ("measurement_stats", {**RAIL, "chart": "control_chart"}),
        ("flakiness", {"chart": True}),
    ],
)
async def test_a_chart_stands_beside_the_figures(
    config: str, connect: Connect, tool: str, asked: dict[str, Any]
) -> None:
    async with connect(config) as client:
        result = await client.call_tool(tool, asked)
    image_of(result)
    assert result.structured_content
    assert "saved_to" not in result.structured_content


async def test_save_to_keeps_the_svg_or_the_png(config: str, connect: Connect) -> None:
    asked = {**BOARD, "metric": "first_pass_yield", "group_by": "station"}
    async with connect(config) as client:
        svg = await client.call_tool("summarize_runs", {**asked, "save_to": "yield.svg"})
        png = await client.call_tool("summarize_runs", {**asked, "save_to": "yield.png"})
    assert svg.structured_content
    assert png.structured_content
    text = Path(svg.structured_content["saved_to"]).read_text(encoding="utf-8")
    assert "First-pass yield by station" in text
    assert "FVT-03" in text
    assert Path(png.structured_content["saved_to"]).read_bytes() == image_of(png)


async def test_what_has_no_chart_and_where_none_may_be_saved_is_said(
    config: str, connect: Connect, refused: RefusedCaller
) -> None:
    asked = {**BOARD, "metric": "throughput", "chart": True}
    async with connect(config) as client:
        assert "One figure is no picture" in await refused(client, "summarize_runs", **asked)
        outside = {**asked, "group_by": "day", "save_to": "/etc/yield.svg"}
        assert "not saved there" in await refused(client, "summarize_runs", **outside)
