"""A home of its own to run the documentation's commands in: the simulated lab for the host they name, this package's
wheel as if it were published, real uv and pip, and stand-ins for what cannot run here."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from threading import Timer
from typing import Any

import httpx2

from tests.repository.pages import ROOT

SECONDS = 120
STAND_IN = """#!{python}
import json, re, sys
line = " ".join(sys.argv[1:])
if not re.fullmatch({usage!r}, line):
    sys.exit("{name} is not used so: " + line)
with open({log!r}, "a", encoding="utf-8") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
"""
CLIENTS = {
    "claude": r"mcp remove --scope user \w+"
    r"|mcp add (--scope user )?\w+ -- .+"
    r"|mcp add --transport http \w+ https://\S+ --header Authorization: Bearer \S+",
    "codex": r"mcp add \w+ (-- .+|--url https://\S+ --bearer-token-env-var \w+)",
}
"""Applications of 240 and 420 MB, which are not installed for a test: how Claude Code 2.1.332 and Codex 0.171.0, tried
once, took these commands."""
OUR_INDEX = ("UV_", "PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
ASKED = (
    {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}}},
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list"},
)


class Sandbox:
    """A home, a folder to work in with a `lab.toml`, and the environment of a shell there."""

    def __init__(self, folder: Path, portal: Mapping[str, Any], wheel: Path) -> None:
        self.home, self.folder, self._bin = folder / "home", folder / "work", folder / "bin"
        for made in (self.home, self.home / "reports", self.folder, self._bin):
            made.mkdir(parents=True)
        self._url = portal["url"]
        self.config = self.folder / "lab.toml"
        table = f'[services.portal]\nkind = "stbtester"\nurl = "{self._url}"\ntoken_env = "STBT_TOKEN"\n'
        self.config.write_text(table, encoding="utf-8")
        self._added = self.folder / "added.jsonl"
        for name, usage in CLIENTS.items():
            stand_in = {"python": sys.executable, "name": name, "usage": usage, "log": str(self._added)}
            self._add_command(name, STAND_IN.format(**stand_in))
        # Installs what is asked for, beside what this environment has: its dependencies are those tested here.
        base, ours = Path(sys.base_prefix) / "bin/python3", sysconfig.get_path("purelib")
        self._add_command("pip", f'#!/bin/sh\nPYTHONPATH="{ours}" exec "{base}" -m pip "$@"\n')
        self.environment = self._environment(portal["token"], wheel)

    def _environment(self, token: str, wheel: Path) -> dict[str, str]:
        own, uv = Path(sys.executable).parent, next((ROOT / ".uv").glob("*/bin"))
        index = {name: value for name, value in os.environ.items() if name.startswith(OUR_INDEX)}
        cache = subprocess.run([uv / "uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
        pip = {"NO_INDEX": "1", "NO_DEPS": "1", "NO_BUILD_ISOLATION": "0", "TARGET": str(self.home / "packages")}
        return {
            **index,
            **{f"PIP_{name}": value for name, value in pip.items()},
            **dict.fromkeys(("UV_FIND_LINKS", "PIP_FIND_LINKS"), str(wheel.parent)),
            **dict.fromkeys(("STBT_TOKEN", "STBT_AUTH_TOKEN", "LAB_TOKEN"), token),
            **dict.fromkeys(("GIT_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA"), "master"),
            "UV_CACHE_DIR": cache,
            "UV_SYSTEM_CERTS": "1",
            "UV_PYTHON": sys.executable,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_TOOL_BIN_DIR": str(self.home / "bin"),
            "PATH": os.pathsep.join(map(str, (self._bin, own, uv, "/usr/bin", "/bin"))),
            "HOME": str(self.home),
            "TESTLAB_MCP_CONFIG": str(self.config),
        }

    def _add_command(self, name: str, text: str) -> None:
        path = self._bin / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def run(self, line: str, cwd: Path | None = None) -> str:
        """Run a command as a shell does, and return what it printed. It has to end well."""
        line = line.replace("https://company.stb-tester.com", self._url)
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=cwd or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{line} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def added(self) -> list[list[str]]:
        """The commands that clients were told to start our server by."""
        lines = self._added.read_text(encoding="utf-8").splitlines() if self._added.exists() else []
        return [words[words.index("--") + 1 :] for words in map(json.loads, lines) if "--" in words]

    def list_tools(self, command: str | list[str]) -> list[str]:
        """Start a server over stdio, as a client does, and ask for its tools."""
        words = ["sh", "-c", f"exec {command}"] if isinstance(command, str) else command
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(words, cwd=self.folder, env=self.environment, **pipes) as process:
            bound = Timer(SECONDS, process.kill)
            bound.start()
            try:
                assert process.stdin
                assert process.stdout
                for message in ASKED:
                    process.stdin.write(json.dumps({"jsonrpc": "2.0", **_named(message)}) + "\n")
                process.stdin.flush()
                answers = (json.loads(line) for line in process.stdout)
                found = next(answer["result"]["tools"] for answer in answers if answer.get("id") == 2)
            finally:
                bound.cancel()
                process.kill() if sys.exc_info()[0] else None
                process.stdin.close() if process.stdin else None
        assert process.returncode == 0
        return [tool["name"] for tool in found]

    def serve(self, line: str) -> None:
        """Start a server over HTTP, see that it is well, and end it."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        line = re.sub(r"0\.0\.0\.0:\d+", address, line)
        with subprocess.Popen(["sh", "-c", f"exec {line}"], cwd=self.folder, env=self.environment) as process:
            bound = Timer(SECONDS, process.kill)
            bound.start()
            try:
                while not _is_well(f"http://{address}/healthz"):
                    assert process.poll() is None, f"{line} ended with {process.returncode}"
            finally:
                bound.cancel()
                process.terminate()


def _named(message: Mapping[str, Any]) -> dict[str, Any]:
    if message["method"] != "initialize":
        return dict(message)
    return {**message, "params": {**message["params"], "clientInfo": {"name": "docs", "version": "1"}}}


def _is_well(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False
