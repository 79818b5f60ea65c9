"""Decides which tools a caller may see and call: one pure function, for listing and for calling."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from testlab_mcp.config.settings import Unasked
from testlab_tools.capabilities import Service
from testlab_tools.registry import LEVELS, Access, Toolset, ToolSpec

DEFAULT_TOOLSETS: frozenset[Toolset] = frozenset({"runs", "units", "nodes", "jobs", "production", "insight"})


@dataclass(frozen=True)
class Policy:
    """What a table of the config allows. `toolsets` and `services` of None are all.

    `table` is named in refusals; `raised_by` is what would raise the access, where that is not a key of the table.
    `unasked` is what happens where a person has to confirm and the client cannot ask, `pictures` whether answers hold
    images.
    """

    access: Access = "operate"
    toolsets: frozenset[str] | None = DEFAULT_TOOLSETS
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    table: str = "[server]"
    services: frozenset[str] | None = None
    raised_by: str = ""
    unasked: Unasked = "confirm"
    pictures: bool = True

    @classmethod
    def from_table(
        cls,
        access: Access,
        toolsets: Iterable[str],
        allow: Iterable[str],
        deny: Iterable[str],
        table: str = "[server]",
        services: Iterable[str] | None = None,
        raised_by: str = "",
    ) -> Policy:
        """From the keys of a `[server]` or `[callers.NAME]` table; toolsets may include `default` and `all`."""
        names = set(toolsets)
        if "default" in names:
            names = (names - {"default"}) | DEFAULT_TOOLSETS
        within = None if services is None else frozenset(services)
        chosen = None if "all" in names else frozenset(names)
        return cls(access, chosen, frozenset(allow), frozenset(deny), table, within, raised_by)

    def how_to_raise(self, access: Access) -> str:
        """The setting that would give an access level."""
        return self.raised_by.format(access=access) or f'{self.table} access = "{access}"'


def exposed_tools(
    tools: Iterable[ToolSpec], services: Collection[Service], policy: Policy, caller: Policy | None = None
) -> list[ToolSpec]:
    """The tools that may be listed and called, in the given order."""
    return [tool for tool in tools if not refusal(tool, services, policy, caller)]


def refusal(tool: ToolSpec, services: Collection[Service], policy: Policy, caller: Policy | None = None) -> str:
    """Why a tool is not exposed, with the setting that would change it; empty when it is exposed.

    An exposed tool is one that a configured service can do, that is not denied, whose access level is reached, and
    whose toolset is on or which is allowed by name. `caller` narrows the deployment's `policy`, and never widens it.
    """
    policies = [policy] if caller is None else [policy, caller]
    if not any(isinstance(service, tool.needs) for service in services):
        return f"No configured service can do {tool.name}; a [services.…] table of the right kind turns it on."
    return next((why for each in policies if (why := _refusal_by(tool, services, each))), "")


def effective_access(policy: Policy, caller: Policy | None) -> tuple[Access, str]:
    """The access level that both allow, and the setting that would make it "admin"."""
    least = policy if caller is None or LEVELS.index(policy.access) <= LEVELS.index(caller.access) else caller
    return least.access, least.how_to_raise("admin")


def _refusal_by(tool: ToolSpec, services: Collection[Service], policy: Policy) -> str:
    within = policy.services
    if tool.name in policy.deny:
        return f"{tool.name} is switched off by {policy.table} deny."
    if within is not None and not any(isinstance(s, tool.needs) and s.name in within for s in services):
        return f"{tool.name} needs a service that {policy.table} services does not name."
    if LEVELS.index(tool.access) > LEVELS.index(policy.access):
        return f'{tool.name} needs {policy.how_to_raise(tool.access)}; it is "{policy.access}".'
    if policy.toolsets is not None and tool.toolset not in policy.toolsets and tool.name not in policy.allow:
        return (
            f'{tool.name} is in toolset "{tool.toolset}", which {policy.table} toolsets does not name: '
            f"{_toolsets_with(policy.toolsets, tool.toolset)} turns it on."
        )
    return ""


def _toolsets_with(named: frozenset[str], toolset: str) -> str:
    """The line of the config that has one toolset more."""
    default = ["default"] if named >= DEFAULT_TOOLSETS else []
    rest = named - DEFAULT_TOOLSETS if default else named
    return f"toolsets = {json.dumps([*default, *sorted(rest | {toolset})])}"
