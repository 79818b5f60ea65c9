"""Adds this server to the MCP clients of this machine: by a client's own command where it has one, else in its file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from testlab_mcp.commands.client_config import server_command, snippet
from testlab_tools.errors import BadInput, LabError
from testlab_tools.files.io import replace_file

COMMAND_SECONDS = 60


def find_clients() -> list[str]:
    """The clients that this machine has."""
    commands = [
        name
        for name, command in (("claude-code", "claude"), ("vscode", "code"), ("codex", "codex"))
        if shutil.which(command)
    ]
    return commands + [name for name, file in _FILES.items() if file().parent.is_dir()]


def register(client: str, config: Path) -> str:
    """Add the server with this config to a client, and say where. An entry of its name is replaced.

    Raises:
        LabError: the client's command failed, or its file cannot be read; nothing was changed.
    """
    command, args = server_command(str(config), demo=False)
    if client == "claude-code":
        _run("claude", "mcp", "remove", "--scope", "user", "testlab", ignore=True)
        return _run("claude", "mcp", "add", "--scope", "user", "testlab", "--", command, *args)
    if client == "codex":  # it replaces an entry of the name
        return _run("codex", "mcp", "add", "testlab", "--", command, *args)
    if client == "vscode":
        return _run("code", "--add-mcp", json.dumps({"name": "testlab", "command": command, "args": args}))
    path = _FILES[client]()
    kept = _add_entry(path, snippet(client, command, args))
    return f"added to {path}{kept}; restart it"


def _run(*command: str, ignore: bool = False) -> str:
    program = shutil.which(command[0])
    if program is None:
        raise LabError(f"there is no command {command[0]}", "", "`testlab-mcp client-config` prints what to paste.")
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{command[0]} did not answer ({type(error).__name__})") from None
    if done.returncode and not ignore:
        raise LabError(f"{command[0]} refused: {(done.stderr or done.stdout).strip()[:300]}")
    return f"added by `{command[0]}`"


def _add_entry(path: Path, entry: Mapping[str, Any]) -> str:
    """Write the entry into a client's JSON file beside what is there. Returns where the file before is kept."""
    before = ""
    held: object = {}
    if path.exists():
        try:
            before = path.read_text("utf-8")
            held = json.loads(before) if before.strip() else {}
        except (OSError, ValueError):
            held = None
    if not isinstance(held, dict):
        raise BadInput(f"{path} is not JSON that can be changed", "", "Paste what `testlab-mcp client-config` prints.")
    merged = cast("dict[str, Any]", held)
    for key, servers in entry.items():
        merged[key] = {**merged.get(key, {}), **servers}
    kept = path.with_name(f"{path.name}.before-testlab")
    if before:
        replace_file(kept, before)
    replace_file(path, json.dumps(merged, indent=2, ensure_ascii=False) + "\n")
    return f" (before: {kept})" if before else ""


def _desktop_file() -> Path:
    """Claude Desktop's own folder: see its documentation, "Connect to local MCP servers"."""
    if sys.platform == "darwin":
        folder = Path.home() / "Library/Application Support/Claude"
    elif os.name == "nt":
        folder = Path(os.environ.get("APPDATA", str(Path.home()))) / "Claude"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config"))) / "Claude"
    return folder / "claude_desktop_config.json"


_FILES: dict[str, Callable[[], Path]] = {
    "claude-desktop": _desktop_file,
    "cursor": lambda: Path.home() / ".cursor/mcp.json",
}
