"""Icons and titles, for people: one icon a toolset, small, a picture; and nothing that a model reads."""

from __future__ import annotations

import json
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

TOOLSETS = {tool.name: tool.toolset for tool in all_tools()}


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
async def test_whatever_is_listed_has_its_toolsets_icon_and_a_title_of_a_few_words(
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
    assert [tool.icons for tool in tools] == [draw_icon(TOOLSETS[tool.name]) for tool in tools]
    assert [item.name for item in others if not item.icons] == []
    titles = [item.title or "" for item in (*all_tools(), *others)]
    assert [title for title in titles if not re.fullmatch(r"[A-Z]\w+( \w+){1,3}", title)] == []
    whole = json.dumps([tool.model_dump(by_alias=True, exclude_none=True) for tool in tools])
    bare = json.dumps([tool.model_dump(by_alias=True, exclude_none=True, exclude={"icons"}) for tool in tools])
    assert len(whole) - len(bare) < len(bare) / 4
