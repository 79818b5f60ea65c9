"""`testlab-mcp tools`: which tools a config turns on, and what they cost a model in tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sized
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from testlab_mcp.access.policy import Policy, exposed_tools, refusal
from testlab_mcp.commands.console import paint, table
from testlab_mcp.commands.serve import policy_of
from testlab_mcp.config.loading import find_config, load_config
from testlab_mcp.protocol.service_names import name_services
from testlab_mcp.protocol.tool import LabTool
from testlab_sim import SERVICES
from testlab_tools.capabilities import Service
from testlab_tools.registry import ToolSpec
from testlab_tools.services import known_kinds, load_kind
from testlab_tools.token_estimate import estimate_tokens
from testlab_tools.tools import all_tools


class Budget(NamedTuple):
    """What a whole `tools/list` may cost a model: `limit` tokens in the dearest of `labs`."""

    name: str
    limit: int
    policy: Policy
    labs: Callable[[], list[list[Service]]]

    def dearest(self) -> tuple[int, list[ToolSpec]]:
        """The tokens and the tools of the list that costs most."""
        lists = [(services, exposed_tools(all_tools(), services, self.policy)) for services in self.labs()]
        priced = [(count_tokens([describe_tool(tool, lab) for tool in tools]), tools) for lab, tools in lists]
        return max(priced, key=itemgetter(0))

    def excess(self) -> str:
        """By how much the limit is exceeded, which tools cost most, and what to do; empty within the limit."""
        spent, tools = self.dearest()
        if spent <= self.limit:
            return ""
        costs = sorted(((count_tokens(describe_tool(tool)), tool.name) for tool in tools), reverse=True)
        most = ", ".join(f"{name} {tokens}" for tokens, name in costs[:6])
        over = f"{self.name}: {spent} tokens, {spent - self.limit} more than its limit of {self.limit}"
        return f"{over}. These cost most: {most}. {RAISING}"


TOOL_LIMIT = 500
"""Tokens (o200k) of one tool as `tools/list` sends it, as compact JSON."""
BUDGETS = (
    Budget("everything on", 11_000, Policy("admin", None), lambda: [connect_kinds(known_kinds())]),
    Budget("default, three services", 6_000, Policy(), lambda: [connect_kinds(SERVICES)]),
    Budget("one service, observe", 3_000, Policy("observe"), lambda: [[one] for one in connect_kinds(known_kinds())]),
)
ESTIMATED = "These are estimates, rather too high: pip install 'testlab-mcp[tokens]' counts exactly, and judges."
RAISING = (
    "Every user pays for each token with every request, so shorten descriptions first. Is the new tool still worth it? "
    "Then raise the limit by 500 in BUDGETS (server/testlab_mcp/commands/tools.py), in the commit that adds the tool."
)


def list_tools(config_file: str, tokens: bool) -> int:
    """Print the tools; with `tokens`, their cost, and return 1 when a budget is exceeded."""
    if tokens:
        return _print_costs()
    config = load_config(find_config(config_file))
    services = config.connect_services()
    policy = policy_of(config)
    rows = [(tool.name, tool.toolset, tool.access, refusal(tool, services, policy) or "on") for tool in all_tools()]
    print(table(("tool", "toolset", "access", "state"), rows))
    return 0


def describe_tool(tool: ToolSpec, services: Iterable[Service] = ()) -> dict[str, Any]:
    """What a model reads of a tool in `tools/list` for these services. Title and icons are for people."""
    able = [service.name for service in services if isinstance(service, tool.needs)]
    made = LabTool.of(tool)
    entry: dict[str, Any] = {
        "name": made.name,
        "description": made.description,
        "inputSchema": name_services(made.parameters, able),
        "annotations": made.annotations.model_dump(by_alias=True, exclude_none=True) if made.annotations else {},
    }
    if made.output_schema:
        entry["outputSchema"] = made.output_schema
    return entry


def count_tokens(value: object) -> int:
    """Tokens (o200k) of a value as compact JSON; an estimate where the tokenizer is not installed."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    encode = _find_tokenizer()
    return len(encode(text)) if encode else estimate_tokens(text)


def _find_tokenizer() -> Callable[[str], Sized] | None:
    """None where it is not installed."""
    try:
        return _load_tokenizer()
    except ImportError:
        return None


@cache
def _load_tokenizer() -> Callable[[str], Sized]:
    import bpe_openai

    return bpe_openai.get_encoding("o200k_base").encode


def connect_kinds(kinds: Iterable[str]) -> list[Service]:
    """A service of each kind that nothing is asked of: enough to see what it can do."""
    return [connect_kind(kind) for kind in kinds]


def connect_kind(kind: str, **settings: object) -> Service:
    """A service of a kind, with these keys in its config table."""
    module = load_kind(kind)
    return module.connect(kind, module.Settings.model_validate({"kind": kind, **module.Settings.example, **settings}))


def _print_costs() -> int:
    rows = [(tool.name, tool.toolset, count_tokens(describe_tool(tool)), TOOL_LIMIT) for tool in all_tools()]
    print(table(("tool", "toolset", "tokens", "limit"), rows))
    print()
    print(table(("tool list", "tokens", "budget"), [(b.name, b.dearest()[0], b.limit) for b in BUDGETS]))
    if _find_tokenizer() is None:
        print(f"\n{ESTIMATED}")
        return 0
    over = [excess for budget in BUDGETS if (excess := budget.excess())]
    over += [f"{row[0]}: {row[2]} tokens, of at most {row[3]}" for row in rows if row[2] > row[3]]
    for line in over:
        print(f"\n{paint('over budget', 'fail')}: {line}")
    return 1 if over else 0
