"""What the tests' servers are forks of: each runs a command of `testlab-mcp`."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from functools import cache
from typing import Any

import testlab_mcp
import testlab_tools
from testlab_mcp.commands.main import main
from testlab_mcp.commands.serve import policy_of
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.server import build_server
from testlab_tools.services import known_kinds, load_kind
from tests.fork_server import Become, freeze

LATE = (
    *("anyio._backends._asyncio", "anyio._core._signals", "dbos._sys_db_sqlite", "platformdirs"),
    *("sqlalchemy.dialects.sqlite", "uvicorn.lifespan.on", "uvicorn.loops.auto"),
    *("uvicorn.protocols.http.h11_impl", "uvicorn.protocols.websockets.auto"),
)
"""What others import when it is first used."""
CONFIG = """
[server]
toolsets = ["all"]
[audit]
enabled = false
[durable]
enabled = false
"""


@cache
def prepare() -> Become:
    """Import what a server imports in its life, and make what it makes once: the models and schemas of its tools."""
    for package in (testlab_mcp, testlab_tools):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    services = [_table_of(kind) for kind in known_kinds()]
    config = parse_config("".join([CONFIG, *services]))
    build_server(config.lab(), policy_of(config), config.folders())
    freeze()
    return _run_command


def _table_of(kind: str) -> str:
    keys = {"kind": kind, **load_kind(kind).Settings.example}
    return "".join([f"[services.{kind}]\n", *(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())])


def _run_command(request: dict[str, Any]) -> int:
    sys.argv = ["testlab-mcp", *request["arguments"]]
    return main()
