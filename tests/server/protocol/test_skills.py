"""Skills (SEP-2640): listed and read by callers who have their tools, naming no others, with digests that hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Literal

import pytest
import yaml
from mcp import Client
from mcp_types import Request, RequestParams, Result, TextResourceContents

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.protocol.skills import FOLDER, all_skills
from testlab_tools.tools import all_tools
from tests.fixture_types import Connect

KNOWN = {tool.name for tool in all_tools()}
NAMES = ["may-this-unit-ship", "morning-triage", "record-production-results", "reproduce-on-free-node"]
ERAS = ["legacy", "2026-07-28"]


class Ask(Request[Any, Literal["skills/list", "skills/get"]]):
    """A request of the extension."""


class Answer(Result):
    """The answer, as it is."""

    model_config = {"extra": "allow"}


async def ask(client: Client, method: Any, **params: str) -> dict[str, Any]:
    class Params(RequestParams):
        model_config = {"extra": "allow"}

    answer = await client.session.send_request(Ask(method=method, params=Params.model_validate(params)), Answer)
    return answer.model_dump(by_alias=True)


def server(*lines: str, sim: SimLab) -> str:
    return "\n".join(["[server]", *lines, sim.config_toml()])


async def read(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "text/markdown"
    return content.text


@pytest.mark.parametrize("mode", ERAS)
async def test_each_file_is_what_its_entry_says(mode: str, sim: SimLab, connect: Connect) -> None:
    async with connect(sim.config_toml(), mode) as client:
        skills = (await ask(client, "skills/list"))["skills"]
        assert [skill["frontmatter"]["name"] for skill in skills] == NAMES
        for skill in skills:
            assert skill["uri"] == f"skill://{skill['frontmatter']['name']}/SKILL.md"
            assert (await ask(client, "skills/get", uri=skill["uri"]))["skill"] == skill
            text = await read(client, skill["uri"])
            assert skill["resources"] == [
                {
                    "uri": skill["uri"],
                    "digest": f"sha256:{sha256(text.encode()).hexdigest()}",
                    "size": len(text.encode()),
                }
            ]
            _, head, body = text.split("---\n", 2)
            assert yaml.safe_load(head) == skill["frontmatter"]
            assert body.startswith("\n# ")
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        assert [skill["uri"] for skill in skills] == [uri for uri in listed if uri.startswith("skill://")]


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (('toolsets = ["all"]', 'access = "admin"'), NAMES),
        (('access = "observe"',), NAMES[:2]),
        (('toolsets = ["runs", "units"]',), NAMES[:1]),
        (('deny = ["explain_failure", "get_failed_cases", "list_nodes", "grab_screenshot"]',), NAMES[:3]),
        (('deny = ["get_unit", "triage", "create_run", "end_reservation"]',), []),
    ],
)
async def test_a_skill_is_there_with_its_tools_and_names_no_others(
    lines: tuple[str, ...], names: list[str], sim: SimLab, connect: Connect
) -> None:
    async with connect(server(*lines, sim=sim)) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        skills = (await ask(client, "skills/list"))["skills"]
        assert [skill["frontmatter"]["name"] for skill in skills] == names
        for skill in skills:
            named = set(re.findall(r"\b[a-z]+_[a-z_]+\b", await read(client, skill["uri"]))) & KNOWN
            assert named <= tools
            assert set(skill["frontmatter"]["metadata"]["tools"].split()) <= tools


async def test_steps_stay_numbered_without_gaps(sim: SimLab, connect: Connect) -> None:
    async with connect(server('deny = ["grab_screenshot", "list_nodes"]', sim=sim)) as client:
        text = await read(client, "skill://morning-triage/SKILL.md")
    steps = text.partition("## Steps")[2].partition("## Do not")[0]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", steps, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert "list_nodes" not in text


@pytest.mark.parametrize("mode", ERAS)
async def test_a_skill_that_is_not_there_is_a_protocol_error_that_says_which_are(
    mode: str, sim: SimLab, connect: Connect, denied: Callable[..., Any]
) -> None:
    async with connect(server('access = "observe"', sim=sim), mode) as client:
        for uri in ("skill://morning-triage", "skill://x/SKILL.md", "skill://morning-triage/references/../SKILL.md"):
            for asking in (ask(client, "skills/get", uri=uri), client.read_resource(uri)):
                code, said = await denied(asking)
                assert code == -32602
                assert said.endswith("There are: skill://may-this-unit-ship/SKILL.md, skill://morning-triage/SKILL.md.")
        withheld = "skill://reproduce-on-free-node/SKILL.md"
        for asking in (ask(client, "skills/get", uri=withheld), client.read_resource(withheld)):
            code, said = await denied(asking)
            assert code == -32602
            assert said == 'Not allowed: reserve_nodes needs [server] access = "operate"; it is "observe".'
        code, said = await denied(ask(client, "skills/list", cursor="2"))
        assert code == -32602


async def test_the_extension_is_announced_and_its_answers_are_the_callers_own(sim: SimLab, connect: Connect) -> None:
    async with connect(sim.config_toml()) as client:
        assert (client.server_capabilities.extensions or {})["io.modelcontextprotocol/skills"] == {}
        for answer in (
            await ask(client, "skills/list"),
            await ask(client, "skills/get", uri="skill://morning-triage/SKILL.md"),
        ):
            assert (answer["ttlMs"], answer["cacheScope"]) == (300_000, "private")
            assert answer["resultType"] == "complete"


def test_each_skill_is_a_folder_of_its_name_that_keeps_to_the_format() -> None:
    """https://agentskills.io/specification: names and descriptions; an item is one line, so that a step goes whole."""
    assert sorted(folder.name for folder in FOLDER.iterdir()) == NAMES
    for skill in all_skills():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", skill.name)
        assert skill.name in NAMES
        assert 0 < len(skill.frontmatter["description"]) <= 1024
        assert set(skill.tools) <= KNOWN
        lines = skill.body.splitlines()
        assert [line for line in lines if line and not re.match(r"# |## |\d+\. |- |[A-Z]", line)] == []
