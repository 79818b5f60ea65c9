"""`testlab-mcp client-config`: what to paste into an MCP client, with absolute paths and that client's own keys."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from testlab_mcp.config.loading import find_config

_WHERE = {
    "claude-code": "a project's .mcp.json, or run the command below once",
    "claude-desktop": "claude_desktop_config.json (Settings, Developer, Edit Config)",
    "vscode": ".vscode/mcp.json",
    "cursor": ".cursor/mcp.json, or ~/.cursor/mcp.json for every project",
}


def client_config(client: str, config_file: str, demo: bool) -> int:
    """Print the snippet on standard output, where it goes on standard error."""
    command, args = _server(config_file, demo)
    print(f"For {_WHERE[client]}:", file=sys.stderr)
    print(json.dumps(snippet(client, command, args), indent=2))
    if client == "claude-code":
        print(f"\nclaude mcp add testlab -- {shlex.join([command, *args])}", file=sys.stderr)
    return 0


def snippet(client: str, command: str, args: list[str]) -> dict[str, Any]:
    """VS Code reads `servers`, the others `mcpServers`; Claude Desktop takes no `type`."""
    entry: dict[str, Any] = {"command": command, "args": args}
    if client != "claude-desktop":
        entry = {"type": "stdio", **entry}
    return {"servers" if client == "vscode" else "mcpServers": {"testlab": entry}}


def _server(config_file: str, demo: bool) -> tuple[str, list[str]]:
    """Absolute paths: clients start servers from folders, and with a PATH, of their own."""
    script = Path(sys.argv[0]).resolve()
    found = str(script) if script.name.startswith("testlab-mcp") and script.is_file() else shutil.which("testlab-mcp")
    command, start = (found, []) if found else (sys.executable, ["-m", "testlab_mcp"])
    if demo:
        return command, [*start, "serve", "--demo"]
    return command, [*start, "serve", "--config", str(find_config(config_file).resolve())]
