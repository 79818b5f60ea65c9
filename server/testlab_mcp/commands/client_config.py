"""`testlab-mcp client-config`: the entry of this server for an MCP client's config file."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from testlab_mcp.config.loading import find_config

FILES = {
    "claude-code": "a project's .mcp.json, or run the command below once",
    "claude-desktop": "claude_desktop_config.json (Settings, Developer, Edit Config)",
    "vscode": ".vscode/mcp.json",
    "cursor": ".cursor/mcp.json, or ~/.cursor/mcp.json for every project",
    "codex": "~/.codex/config.toml, or run the command below once",
}
COMMANDS = {"claude-code": "claude mcp add testlab --", "codex": "codex mcp add testlab --"}
"""Those of clients that add a server themselves."""


def client_config(client: str, config_file: str, demo: bool) -> int:
    """Print the entry on standard output, and the file that it belongs in on standard error."""
    print_snippet(client, config_file, demo)
    return 0


def print_snippet(client: str, config_file: str, demo: bool = False) -> None:
    """Print the entry, and where it belongs."""
    command, args = server_command(config_file, demo)
    print(f"For {FILES[client]}:", file=sys.stderr)
    print(write_snippet(client, command, args))
    if client in COMMANDS:
        print(f"\n{COMMANDS[client]} {shlex.join([command, *args])}", file=sys.stderr)


def write_snippet(client: str, command: str, args: list[str]) -> str:
    """The entry as text: TOML for Codex, whose strings are JSON's, else JSON."""
    if client == "codex":
        return f"[mcp_servers.testlab]\ncommand = {json.dumps(command)}\nargs = {json.dumps(args)}"
    return json.dumps(snippet(client, command, args), indent=2)


def snippet(client: str, command: str, args: list[str]) -> dict[str, Any]:
    """The entry with a client's own keys: VS Code reads `servers`, the others `mcpServers`; Claude Desktop takes no
    `type`."""
    entry: dict[str, Any] = {"command": command, "args": args}
    if client != "claude-desktop":
        entry = {"type": "stdio", **entry}
    return {"servers" if client == "vscode" else "mcpServers": {"testlab": entry}}


def server_command(config_file: str, demo: bool) -> tuple[str, list[str]]:
    """The command that starts the server, with absolute paths: a client has a working folder and a PATH of its own."""
    script = Path(sys.argv[0]).resolve()
    found = str(script) if script.name.startswith("testlab-mcp") and script.is_file() else shutil.which("testlab-mcp")
    command, start = (found, []) if found else (sys.executable, ["-m", "testlab_mcp"])
    if demo:
        return command, [*start, "serve", "--demo"]
    return command, [*start, "serve", "--config", str(find_config(config_file).resolve())]
