"""Which tools a caller may see and call: one pure filter, the same for listing and for calling."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from testlab_tools.capabilities import Service
from testlab_tools.registry import LEVELS, Access, Toolset, ToolSpec

DEFAULT_TOOLSETS: frozenset[Toolset] = frozenset({"runs", "units", "nodes", "jobs", "production", "insight"})


@dataclass(frozen=True)
class Policy:
    """What the config allows. `toolsets` of None is all of them."""

    access: Access = "operate"
    toolsets: frozenset[str] | None = DEFAULT_TOOLSETS
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    @classmethod
    def of(cls, access: Access, toolsets: Iterable[str], allow: Iterable[str], deny: Iterable[str]) -> Policy:
        """From the `[server]` table: `default` and `all` may stand among the toolsets."""
        names = set(toolsets)
        if "default" in names:
            names = (names - {"default"}) | DEFAULT_TOOLSETS
        return cls(access, None if "all" in names else frozenset(names), frozenset(allow), frozenset(deny))


def exposed(tools: Iterable[ToolSpec], services: Collection[Service], policy: Policy) -> list[ToolSpec]:
    """The tools that may be listed and called, in their own order."""
    return [tool for tool in tools if not refusal(tool, services, policy)]


def refusal(tool: ToolSpec, services: Collection[Service], policy: Policy) -> str:
    """Why a tool is not exposed, naming the setting that would change it; empty when it is exposed.

    In order: a configured service can do it, the access level reaches it, its toolset is on or it is allowed by
    name, and it is not denied.
    """
    if tool.name in policy.deny:
        return f"{tool.name} is switched off by [server] deny."
    if not any(isinstance(service, tool.needs) for service in services):
        return f"No configured service can do {tool.name}; a [services.…] table of the right kind turns it on."
    if LEVELS.index(tool.access) > LEVELS.index(policy.access):
        return f'{tool.name} needs [server] access = "{tool.access}"; it is "{policy.access}".'
    if policy.toolsets is not None and tool.toolset not in policy.toolsets and tool.name not in policy.allow:
        return f'{tool.name} is in toolset "{tool.toolset}", which [server] toolsets does not name.'
    return ""
