"""Agents' MCP clients, each pinned, unmodified and in an environment of its own, that start our server themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
BIN = "Scripts" if os.name == "nt" else "bin"
SECONDS = 120


@pytest.fixture(scope="session")
def agent_python(client_python: Callable[..., Path]) -> Callable[[str], Path]:
    """The Python of an agent's environment, by the name of its file in `requirements/`."""
    return partial(client_python, folder=HERE / "requirements")


@pytest.fixture(scope="session")
def server() -> str:
    """The command of our server."""
    executable = shutil.which("testlab-mcp", path=str(Path(sys.executable).parent))
    assert executable is not None, "testlab-mcp is not installed beside this Python"
    return executable


@pytest.fixture(scope="session")
def see(client_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Run a client's script, `see(runtime, script, command of our server)`: what its model would have seen."""

    def seen(runtime: str | Path, script: str, command: list[str], *more: str | Path) -> Any:
        folder = tmp_path_factory.mktemp("agent")
        answer = folder / "answer.json"
        done = subprocess.run(
            [runtime, HERE / "scripts" / script, json.dumps(command), answer, *more],
            cwd=folder,
            env=client_settings,
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
