"""Where the config leaves images out of answers, their facts and a saved file stand for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mcp import Client
from mcp_types import CallToolResult, ImageContent, TextContent
from PIL import Image

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.run_files.conftest import Portal

LEFT_OUT = "[server]\npictures = false\n"


async def call(client: Client, tool: str, **arguments: object) -> tuple[CallToolResult, str]:
    """An answer and its one text."""
    result = await client.call_tool(tool, arguments)
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert not result.is_error, block.text
    return result, block.text


async def test_a_screenshot_is_its_facts_and_the_file_that_it_was_saved_to(
    lab: SimLab, portal: Portal, connect: Connect, tmp_path: Path
) -> None:
    run = f"portal:{portal.failed()['result_id']}"
    async with connect(LEFT_OUT + lab.config_toml(str(tmp_path))) as client:
        _, shown = await call(client, "grab_screenshot", run_id=run)
        _, saved = await call(client, "grab_screenshot", run_id=run, save_to="screen.png")
    assert "original 1280x720" in shown
    assert "Images are not sent" in shown
    assert "save_to" in shown
    assert str(tmp_path / "screen.png") in saved
    with Image.open(tmp_path / "screen.png") as whole:
        assert whole.size == (1280, 720)


async def test_what_comes_beside_an_image_comes_without_it_and_says_so(
    lab: SimLab, portal: Portal, connect: Connect
) -> None:
    run = f"portal:{portal.failed()['result_id']}"
    async with connect(LEFT_OUT + lab.config_toml()) as client:
        file = await call(client, "get_artifact", run_id=run, name="screenshot.png")
        explained = await call(client, "explain_failure", run_id=run)
        listed, _ = await call(client, "get_artifact", run_id=run)
    for result, text in (file, explained):
        assert result.structured_content is not None
        assert "Images are not sent" in result.structured_content["note"]
        assert "Images are not sent" in text, "some clients show the model the text alone"
    assert "note" not in (listed.structured_content or {}), "where there is no image, none is missed"


async def test_they_are_sent_unless_the_config_says_otherwise(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller
) -> None:
    run = f"portal:{portal.failed()['result_id']}"
    async with connect(lab.config_toml()) as client:
        result = await client.call_tool("explain_failure", {"run_id": run})
    assert isinstance(result.content[0], ImageContent)
    assert "not sent" not in (result.structured_content or {}).get("note", "")
