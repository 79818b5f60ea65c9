"""Skills: how to do a whole task with these tools, for clients that load such texts when a task comes up.

Source: the extension io.modelcontextprotocol/skills (SEP-2640) and https://agentskills.io/specification. A skill is a
folder of `skills/` with a SKILL.md, whose frontmatter names under `metadata` the tools it cannot do without. A caller
who lacks one of them does not have the skill; a sentence that names another tool the caller lacks is left out. Sizes
and digests are therefore those of the caller's own text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PaginatedRequestParams, RequestParams, Resource

from testlab_mcp.protocol.availability import Availability, current_availability
from testlab_mcp.protocol.icons import draw_icon
from testlab_tools.registry import drop_mentions
from testlab_tools.tools import all_tools

FOLDER = Path(__file__).parents[1] / "skills"
SCHEME = "skill://"
MARKDOWN = "text/markdown"
FRESH_MS = 300_000
"""How long a client may take what it was listed for what there is."""
_FRONTMATTER = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)
_ITEM = re.compile(r"(\d+\. |- |)(.*)", re.DOTALL)


@dataclass(frozen=True)
class SkillSpec:
    """A skill: its frontmatter as written, and the Markdown below it. Each item of a list is one line."""

    head: str
    body: str

    @property
    def frontmatter(self) -> dict[str, Any]:
        """The frontmatter as JSON: texts without quotes, and maps of them. No more of YAML is used."""
        read: dict[str, Any] = {}
        within = read
        for line in self.head.splitlines():
            key, _, value = line.strip().partition(":")
            if not line.startswith(" "):
                within = read
            if value:
                within[key] = value.strip()
            else:
                within = read[key] = {}
        return read

    @property
    def name(self) -> str:
        """The skill's name, which is its folder's."""
        return self.frontmatter["name"]

    @property
    def uri(self) -> str:
        """Of its SKILL.md."""
        return f"{SCHEME}{self.name}/SKILL.md"

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools it cannot do without."""
        return tuple(self.frontmatter["metadata"]["tools"].split())

    def instruct(self, available: Availability) -> str:
        """The Markdown, naming only tools that are exposed. Lists stay numbered without gaps."""
        others = {tool.name for tool in all_tools() if not available.has(tool.name)}
        lines: list[str] = []
        number = 0
        for line in self.body.splitlines():
            mark, text = _ITEM.fullmatch(line).groups()  # pyright: ignore[reportOptionalMemberAccess]
            kept = drop_mentions(text, others)
            if text and not kept:
                continue
            number = number + 1 if mark[:1].isdigit() else 0
            lines.append((f"{number}. " if number else mark) + kept)
        return "\n".join(lines).strip()

    def write(self, available: Availability) -> str:
        """The SKILL.md."""
        return f"---\n{self.head}\n---\n\n{self.instruct(available)}\n"

    def describe(self, available: Availability) -> dict[str, Any]:
        """The skill's entry: its frontmatter, and the digest and size of its one file."""
        content = self.write(available).encode()
        digest = f"sha256:{sha256(content).hexdigest()}"
        files = [{"uri": self.uri, "digest": digest, "size": len(content)}]
        return {"uri": self.uri, "frontmatter": self.frontmatter, "resources": files}

    def to_mcp(self) -> Resource:
        """Its SKILL.md as a resource, for clients without the extension."""
        return Resource(
            uri=self.uri,
            name=self.name,
            title=self.name.replace("-", " ").capitalize(),
            description=self.frontmatter["description"],
            mime_type=MARKDOWN,
            icons=draw_icon("skills"),
        )


@cache
def all_skills() -> tuple[SkillSpec, ...]:
    """Every skill, whatever is exposed."""
    return tuple(_read_skill(path) for path in sorted(FOLDER.glob("*/SKILL.md")))


def _read_skill(path: Path) -> SkillSpec:
    text = path.read_text(encoding="utf-8")
    head = _FRONTMATTER.match(text)
    assert head, f"{path} has no frontmatter"
    return SkillSpec(head[1], text[head.end() :].strip())


def list_skills(available: Availability) -> list[SkillSpec]:
    """The skills whose tools are exposed."""
    return [skill for skill in all_skills() if available.has(*skill.tools)]


def find_skill(available: Availability, uri: str) -> SkillSpec:
    """A skill by the URI of its SKILL.md. Raises MCPError when there is none, or its tools are not exposed."""
    for skill in all_skills():
        if skill.uri == uri:
            available.require(*skill.tools)
            return skill
    there = ", ".join(skill.uri for skill in list_skills(available)) or "none"
    raise MCPError(INVALID_PARAMS, f"There is no such skill. There are: {there}.", {"uri": uri})


class GetSkillParams(RequestParams):
    """What `skills/get` takes."""

    uri: str


class Skills(Extension):
    """Serves `skills/list` and `skills/get`; the texts themselves are resources."""

    identifier = "io.modelcontextprotocol/skills"

    def methods(self) -> tuple[MethodBinding, ...]:
        """The two methods, in both eras: an older client may ask for what its handshake does not announce."""
        return (
            MethodBinding("skills/list", PaginatedRequestParams, _list),
            MethodBinding("skills/get", GetSkillParams, _get),
        )


async def _list(ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams) -> dict[str, Any]:
    if params.cursor is not None:
        raise MCPError(INVALID_PARAMS, "There is no such cursor: all skills are on one page.")
    available = current_availability()
    return _cacheable({"skills": [skill.describe(available) for skill in list_skills(available)]})


async def _get(ctx: ServerRequestContext[Any, Any], params: GetSkillParams) -> dict[str, Any]:
    available = current_availability()
    return _cacheable({"skill": find_skill(available, params.uri).describe(available)})


def _cacheable(result: Mapping[str, Any]) -> dict[str, Any]:
    return {**result, "ttlMs": FRESH_MS, "cacheScope": "private"}
