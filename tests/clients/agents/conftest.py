"""Agents' MCP clients, each pinned, unmodified and in an environment of its own, that start our server themselves."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

HERE = Path(__file__).parent
SECONDS = 120
BUSY = "Rack 1, Node 3"
"""The node of the simulated lab on which a job runs."""


@pytest.fixture(scope="session")
def asked(ask: Callable[..., httpx2.Response], server_command: list[str], server_url: str) -> dict[str, Any]:
    """What every client is asked, and of which servers."""
    busy = next(n["node_id"] for n in ask("stbtester", "/api/v2/nodes").json() if n["friendly_name"] == BUSY)
    calls = {
        "read": ("list_nodes", {}),
        "error": ("get_run", {"run_id": "portal:"}),
        "wait": ("get_job", {"node_id": f"portal:{busy}", "wait_seconds": 1}),
        "picture": ("grab_screenshot", {"node_id": "portal:stb-tester-00044b80f101"}),
    }
    return {"targets": {"stdio": server_command, "http": server_url}, "calls": calls}


@pytest.fixture(scope="session")
def installed_command(installed_program: str, server_command: list[str]) -> list[str]:
    """The same server, as slow to start as it is where it is installed."""
    return [installed_program, *server_command[1:]]


@pytest.fixture(scope="session")
def see(
    request: pytest.FixtureRequest,
    asked: dict[str, Any],
    installed_command: list[str],
    client_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Any]:
    """Run a client's script, `see(environment, script, spared, recipe)`: what its model would have seen. One that is
    `spared` is also asked for a picture of a server that sends none. Vercel's, which waits one second for an answer,
    starts the server as it is installed."""
    path = tmp_path_factory.mktemp("bin")
    _stand_in_for_uvx(path, asked["targets"]["stdio"])

    def seen(environment: str, script: str, spared: bool, recipe: Path | str) -> Any:
        folder = tmp_path_factory.mktemp("client")
        answer = folder / "answer.json"
        besides = {"without pictures": [*asked["targets"]["stdio"], "--no-pictures"]} if spared else {}
        targets = asked["targets"] | ({"stdio": installed_command} if environment == "ai-sdk" else {})
        what = json.dumps({**asked, "targets": targets, "besides": besides})
        if script.endswith(".mjs"):
            modules = request.getfixturevalue("node_modules")(HERE / environment)
            if recipe:  # a program finds its packages beside it
                (Path(recipe).parent / "node_modules").symlink_to(modules, target_is_directory=True)
            command = [request.getfixturevalue("node"), HERE / "scripts" / "run.mjs", HERE / "scripts" / script]
            command += [what, answer, modules, recipe]
        else:
            python = request.getfixturevalue("client_python")(environment, HERE / "requirements")
            command = [python, HERE / "scripts" / "run.py", Path(script).stem, what, answer, recipe]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**client_settings, "PATH": f"{path}{os.pathsep}{client_settings['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
            pytest.fail(f"{script} failed:\n{said}", pytrace=False)
        return json.loads(answer.read_text(encoding="utf-8"))

    return seen


def _stand_in_for_uvx(folder: Path, command: list[str]) -> None:
    """Put a `uvx` on a PATH that starts our server of this environment, on the simulated lab that runs already instead
    of a demo of its own; uvx and the demo themselves are run by tests/repository/test_docs_run.py."""
    started = " ".join(f'"{word}"' for word in command)
    path = folder / "uvx"
    path.write_text(f'#!/bin/sh\nshift 3\nexec {started} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
