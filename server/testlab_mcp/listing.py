"""`testlab-mcp tools`: which tools a config turns on, and what they cost a model in tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from testlab_mcp.config import find_config, load_config
from testlab_mcp.exposure import Policy, exposed, refusal
from testlab_mcp.serve import policy_of
from testlab_mcp.terminal import paint, table
from testlab_mcp.tool import LabTool
from testlab_tools.capabilities import Service
from testlab_tools.catalog import all_tools
from testlab_tools.errors import ConfigError
from testlab_tools.kinds import known_kinds, load_kind
from testlab_tools.registry import ToolSpec

TOOL_LIMIT = 500
BUDGET = {"everything on": 9_000, "default, three services": 6_000, "one service, observe": 2_500}
"""Tokens (o200k) of the whole `tools/list`, as compact JSON."""


def list_tools(config_file: str, tokens: bool) -> int:
    """Print the tools; with `tokens`, their cost, and 1 when a budget is broken."""
    if tokens:
        return _print_costs()
    config = load_config(find_config(config_file))
    services = config.connected()
    policy = policy_of(config)
    rows = [
        (tool.name, tool.toolset, tool.access, refusal(tool, list(services), policy) or "on") for tool in all_tools()
    ]
    print(table(("tool", "toolset", "access", "state"), rows))
    return 0


def listing(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """The tools as `tools/list` sends them."""
    return [described(tool) for tool in tools]


def described(tool: ToolSpec) -> dict[str, Any]:
    """One tool as `tools/list` sends it."""
    made = LabTool.unbound(tool)
    entry: dict[str, Any] = {
        "name": made.name,
        "description": made.description,
        "inputSchema": made.parameters,
        "annotations": made.annotations.model_dump(by_alias=True, exclude_none=True) if made.annotations else {},
    }
    if made.output_schema:
        entry["outputSchema"] = made.output_schema
    return entry


def costs() -> dict[str, int]:
    """Tokens of the tool list in each of the situations that have a budget."""
    every = [_kind_service(kind) for kind in known_kinds()]
    admin, observe = Policy("admin", None), Policy("observe")
    single = {service.kind: count(listing(exposed(all_tools(), [service], observe))) for service in every}
    return {
        "everything on": count(listing(exposed(all_tools(), every, admin))),
        "default, three services": count(listing(exposed(all_tools(), every, Policy()))),
        "one service, observe": max(single.values()),
    }


def count(value: object) -> int:
    """Tokens of a value as compact JSON. Raises ConfigError when the tokenizer is not installed."""
    try:
        import bpe_openai
    except ImportError:
        raise ConfigError("counting tokens needs bpe-openai", "", "pip install 'testlab-mcp[tokens]'") from None
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(bpe_openai.get_encoding("o200k_base").encode(text))


def _print_costs() -> int:
    rows = [(tool.name, tool.toolset, count(described(tool)), TOOL_LIMIT) for tool in all_tools()]
    print(table(("tool", "toolset", "tokens", "limit"), rows))
    print()
    spent = costs()
    print(table(("tool list", "tokens", "budget"), [(name, spent[name], limit) for name, limit in BUDGET.items()]))
    over = [name for name, limit in BUDGET.items() if spent[name] > limit] + [row[0] for row in rows if row[2] > row[3]]
    if over:
        print(f"\n{paint('over budget', 'fail')}: {', '.join(over)}")
    return 1 if over else 0


def _kind_service(kind: str) -> Service:
    """A service of a kind, unconnected: enough to see what it offers."""
    module = load_kind(kind)
    settings = module.Settings.model_validate({"kind": kind, "url": "http://127.0.0.1"})
    return module.connect(kind, settings)
