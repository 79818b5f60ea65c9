"""Icons and titles, for people: one icon a toolset, small, a picture; none in what a model may read, a tool."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
from mcp_types import Icon

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.protocol.icons import PATHS, draw_icon
from testlab_tools.registry import Toolset
from testlab_tools.tools import all_tools
from tests.fixture_types import Connect


def picture_of(icon: Icon) -> ElementTree.Element:
    head, _, data = icon.src.partition(",")
    assert head == "data:image/svg+xml;base64"
    return ElementTree.fromstring(b64decode(data, validate=True))


@pytest.mark.parametrize("toolset", [*get_args(Toolset), "services", "skills"])
def test_every_toolset_has_a_small_picture_that_is_no_program(toolset: Any) -> None:
    icons = draw_icon(toolset)
    assert icons is not None
    assert len(icons[0].src) < 300
    picture = picture_of(icons[0])
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert [child.tag for child in picture] == ["{http://www.w3.org/2000/svg}path"]
    assert len(set(PATHS.values())) == len(PATHS)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_whatever_is_listed_has_a_title_of_a_few_words_and_but_for_tools_an_icon(
    mode: str, sim: SimLab, connect: Connect
) -> None:
    everything = '[server]\naccess = "admin"\ntoolsets = ["all"]\n'
    async with connect(everything + sim.config_toml(), mode) as client:
        tools = (await client.list_tools()).tools
        others = [
            *(await client.list_prompts()).prompts,
            *(await client.list_resources()).resources,
            *(await client.list_resource_templates()).resource_templates,
        ]
    assert len(tools) > 30
    assert [tool.name for tool in tools if tool.icons] == []
    assert [item.name for item in others if not item.icons] == []
    titles = [item.title or "" for item in (*all_tools(), *others)]
    assert [title for title in titles if not re.fullmatch(r"[A-Z]\w+( \w+){1,3}", title)] == []
