"""Which tools a caller may see and call: one pure filter, the same for listing and for calling."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from testlab_tools.capabilities import Service
from testlab_tools.registry import LEVELS, Access, Toolset, ToolSpec

DEFAULT_TOOLSETS: frozenset[Toolset] = frozenset({"runs", "units", "nodes", "jobs", "production", "insight"})


@dataclass(frozen=True)
class Policy:
    """What a table of the config allows. `toolsets` and `services` of None are all of them.

    `table` is named in refusals; `raised_by` is what would raise the access, where that is not a key of the table.
    """

    access: Access = "operate"
    toolsets: frozenset[str] | None = DEFAULT_TOOLSETS
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    table: str = "[server]"
    services: frozenset[str] | None = None
    raised_by: str = ""

    @classmethod
    def of(
        cls,
        access: Access,
        toolsets: Iterable[str],
        allow: Iterable[str],
        deny: Iterable[str],
        table: str = "[server]",
        services: Iterable[str] | None = None,
        raised_by: str = "",
    ) -> Policy:
        """From the `[server]` or a `[callers.NAME]` table: `default` and `all` may stand among the toolsets."""
        names = set(toolsets)
        if "default" in names:
            names = (names - {"default"}) | DEFAULT_TOOLSETS
        within = None if services is None else frozenset(services)
        chosen = None if "all" in names else frozenset(names)
        return cls(access, chosen, frozenset(allow), frozenset(deny), table, within, raised_by)

    def raising(self, access: Access) -> str:
        """What to set for an access level."""
        return self.raised_by.format(access=access) or f'{self.table} access = "{access}"'


def exposed(
    tools: Iterable[ToolSpec], services: Collection[Service], policy: Policy, caller: Policy | None = None
) -> list[ToolSpec]:
    """The tools that may be listed and called, in their own order."""
    return [tool for tool in tools if not refusal(tool, services, policy, caller)]


def refusal(tool: ToolSpec, services: Collection[Service], policy: Policy, caller: Policy | None = None) -> str:
    """Why a tool is not exposed, naming the setting that would change it; empty when it is exposed.

    In order: it is not denied, a configured service can do it, the access level reaches it, its toolset is on or it is
    allowed by name. `caller` narrows what `policy`, the deployment's, allows, and never widens it.
    """
    policies = [policy] if caller is None else [policy, caller]
    if not any(isinstance(service, tool.needs) for service in services):
        return f"No configured service can do {tool.name}; a [services.…] table of the right kind turns it on."
    return next((why for each in policies if (why := _refusal(tool, services, each))), "")


def reach(policy: Policy, caller: Policy | None) -> tuple[Access, str]:
    """The access level that both allow, and what to set for "admin"."""
    least = policy if caller is None or LEVELS.index(policy.access) <= LEVELS.index(caller.access) else caller
    return least.access, least.raising("admin")


def _refusal(tool: ToolSpec, services: Collection[Service], policy: Policy) -> str:
    within = policy.services
    if tool.name in policy.deny:
        return f"{tool.name} is switched off by {policy.table} deny."
    if within is not None and not any(isinstance(s, tool.needs) and s.name in within for s in services):
        return f"{tool.name} needs a service that {policy.table} services does not name."
    if LEVELS.index(tool.access) > LEVELS.index(policy.access):
        return f'{tool.name} needs {policy.raising(tool.access)}; it is "{policy.access}".'
    if policy.toolsets is not None and tool.toolset not in policy.toolsets and tool.name not in policy.allow:
        return f'{tool.name} is in toolset "{tool.toolset}", which {policy.table} toolsets does not name.'
    return ""
