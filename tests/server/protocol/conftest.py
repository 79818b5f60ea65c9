"""Fixtures: reading as a client does, and a catalog in which every tool that the menu names is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from mcp import Client, MCPError

from testlab_tools.tools import all_tools
from tests.fixture_types import ToolCaller


@pytest.fixture
def uri() -> Callable[..., str]:
    """A URI as clients make it of a template: every value percent-encoded (RFC 6570, simple expansion)."""

    def made(template: str, **values: str) -> str:
        for name, value in values.items():
            template = template.replace(f"{{{name}}}", quote(value, safe=""))
        return template

    return made


@pytest.fixture
def denied() -> Callable[..., Any]:
    """What a request that must fail by protocol says, with its code."""

    async def said(asking: Any) -> tuple[int, str]:
        with pytest.raises(MCPError) as caught:
            await asking
        return caught.value.code, caught.value.message

    return said


@pytest.fixture
def with_insight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog with triage and explain_failure in it, whether it has them or not."""
    tools = all_tools()
    known = {tool.name: tool for tool in tools}
    added = [replace(known["list_runs"], name=name) for name in ("triage", "explain_failure") if name not in known]
    monkeypatch.setattr("testlab_mcp.protocol.server.all_tools", lambda: (*tools, *added))


@pytest.fixture
def failed_run(ask: ToolCaller) -> Callable[..., Any]:
    """The newest run of a service that failed."""

    async def found(client: Client, service: str) -> dict[str, Any]:
        page = await ask(client, "list_runs", service=service, outcome="fail", limit=1)
        return page["runs"][0]

    return found
