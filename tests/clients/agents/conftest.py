"""Agents' MCP clients, each pinned, unmodified and in an environment of its own, that start our server themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
BIN = "Scripts" if os.name == "nt" else "bin"
UV = "uv==0.13.8"
SECONDS = 120


@pytest.fixture(scope="session")
def uv(kept: Callable[[str, bytes, Callable[[Path], None]], Path], install: Callable[..., None]) -> Path:
    """Installs a client's sixty packages in a second or two, where pip takes a minute."""

    def build(folder: Path) -> None:
        install("uv", sys.executable, "-m", "venv", folder)
        install("uv", folder / BIN / "python", "-m", "pip", "install", "--quiet", "--retries=2", UV)

    return kept("uv", f"{UV} {sys.version} {sys.base_prefix}".encode(), build) / BIN / "uv"


@pytest.fixture(scope="session")
def agent_python(
    uv: Path, kept: Callable[[str, bytes, Callable[[Path], None]], Path], install: Callable[..., None]
) -> Callable[[str], Path]:
    """The Python of an agent's environment, by the name of its file in `requirements/`."""
    settings = os.environ | {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}

    def python_of(name: str) -> Path:
        requirements = HERE / "requirements" / f"{name}.txt"

        def build(folder: Path) -> None:
            install(name, uv, "venv", "--quiet", "--python", sys.executable, folder, env=settings)
            to = ("--python", folder / BIN / "python", "--no-deps", "--require-hashes")
            install(name, uv, "pip", "install", "--quiet", *to, "-r", requirements, env=settings)

        made_from = requirements.read_bytes() + sys.version.encode() + sys.base_prefix.encode()
        return kept(name, made_from, build) / BIN / "python"

    return python_of


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
