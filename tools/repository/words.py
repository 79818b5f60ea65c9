"""The words of `./do`: what each runs in the environment. Nothing but the standard library is imported here."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
USAGE = "usage: ./do WORD [ARGUMENTS]          (on Windows: python do WORD [ARGUMENTS])"
WORDS = {
    "demo": "tour the six operations on the simulated lab (--report FILE: with your OpenHTF report)",
    "simlab": "run the simulated lab alone (--port N --ready-file F --runs N)",
    "serve": "run the MCP server (--demo, --config F, --http HOST:PORT)",
    "doctor": "check the config: reachability, auth and clock of every service",
    "test": "run the tests; arguments go to pytest",
    "crash": "20 kills, on SQLite and PostgreSQL: is each of 200 deliveries and 200 runs there once?",
    "load": "1,000 HTTP sessions for a minute: errors, memory, latency",
    "history": "archives of 10,000 to 1,000,000 runs (or the sizes given): time, disk and memory of summaries",
    "folder": "folders of 1,000 to 100,000 reports (or the sizes given): time and memory of a first and a second look",
    "bench": "measure the server beside a plain one, in turns, and write docs/benchmarks.md (--rounds N, --print)",
    "profile": "where the server's time goes, into profile/: cold, call, http or bulk",
    "check": "lint, formatting, types and import contracts (--quick: without the types of the tests)",
    "format": "format the code and sort its imports",
    "snap": "write the snapshots of the MCP surface anew",
    "docs": "write anew what README.md and docs/ say of tools, commands and config keys",
    "pictures": "draw README.md's pictures anew: the demo in a terminal, the screens of the simulated nodes",
    "site": "build docs/ as a site into site/, and fail at a link that leads nowhere",
    "build": "build wheel, sdist, MCP bundle and registry entry into dist/, and check each; lint the container's files",
    "container": "build the Dockerfile and run compose.yaml by podman on Debian, as root; no image is fetched",
    "tokens": "what the tools cost a model, in tokens",
    "new-service": "write a new kind of service, NAME, that works: adapter, simulated counterpart and tests",
    "lowest": "run the tests of the tools with the lowest versions that pyproject.toml allows; arguments go to pytest",
    "lock": "resolve uv.lock anew (--upgrade for newer versions)",
}
COMMANDS_OF_THE_PRODUCT = ("demo", "simlab", "serve", "doctor")
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("pyright",),
    ("pyright", "-p", "tests"),
    ("lint-imports", "--no-logo"),
)
FORMATTERS = (("ruff", "check", "--fix", "."), ("ruff", "format", "."))
# Most tests wait for servers: several at once take a third of the time. A file's tests share what it starts.
SPREAD = ("-n", "6", "--dist", "loadfile", "--no-loadscope-reorder")
LOCKED_INDEX = "https://pypi.org/simple"
"""The index that uv.lock names, whichever one a machine installs from."""


def main(arguments: list[str], prepare: Callable[[], tuple[Path, Path]]) -> int:
    """Run a word; `prepare` makes the environment, and returns its Python and uv."""
    word, *rest = arguments or ["help"]
    if word in ("help", "-h", "--help"):
        print(USAGE, *(f"  {name:12} {what}" for name, what in WORDS.items()), sep="\n")
        return 0
    if word not in WORDS:
        _say(f"no word {word!r}; one of: {', '.join(WORDS)}")
        return 2
    python, uv = prepare()
    if word in COMMANDS_OF_THE_PRODUCT:
        return _become(python.parent / "testlab-mcp", word, *rest)
    os.chdir(ROOT)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each process of tests and benchmarks would compile all code anew
    return _run_word(word, python, uv, *rest)


def _run_word(word: str, python: Path, uv: Path, *rest: str) -> int:
    commands = python.parent
    match word:
        case "test":
            return _test(python, *rest)
        case "crash":
            os.environ["TESTLAB_CRASH"] = "whole"
            files = [f"tests/server/{room}/test_crashes.py" for room in ("outbox", "campaigns")]
            return _test(python, "-n0", *files, "tests/server/nodes/test_line_crashes.py", *rest)
        case "load":
            os.environ["TESTLAB_LOAD"] = "whole"
            return _test(python, "-n0", "tests/server/load", *rest)
        case "history":
            return _become(python, "-m", "tests.tools.archive.benchmark", *(rest or ("10000", "100000", "1000000")))
        case "folder":
            sizes = rest or ("1000", "10000", "100000")
            return _become(python, "-m", "tests.tools.adapters.folder.benchmark", *sizes)
        case "bench":
            return _bench(python, uv, *rest)
        case "profile":
            return _become(python, "-m", "bench.profiling", *rest)
        case "snap":
            os.environ["TESTLAB_SNAP"] = "write"
            surfaces = ("tests/server/test_surface.py", "tests/server/protocol/test_surface.py")
            return _test(python, "-n0", *surfaces, *rest)
        case "docs" | "pictures":
            return _become(python, "-m", f"repository.{word}", *rest)
        case "site" | "build" | "container":
            return _publish(python, uv, word, *rest)
        case "lowest":
            return _test_lowest(python, uv, *rest)
        case "new-service":
            return _become(python, "tools/scaffold/new_service.py", *rest)
        case "tokens":
            return _become(commands / "testlab-mcp", "tools", "--tokens", *rest)
        case "lock":
            os.environ |= uv_settings()
            return _become(uv, "lock", "--python", sys.executable, "--default-index", LOCKED_INDEX, *rest)
        case "format":
            return _run_all(commands, FORMATTERS, "formatted")
        case _:
            quick = "--quick" in rest
            checks = tuple(check for check in CHECKS if not quick or "tests" not in check)
            return _run_all(commands, checks, "all quick checks pass" if quick else "all checks pass")


def uv_settings() -> dict[str, str]:
    """Return the environment variables for uv: it installs with the Python that is there, from the package index that
    pip is configured for. Those that are set already win."""
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout
    index = re.search(r"^(?::env:|global|install)\.index-url='(.+)'$", listed, re.MULTILINE)
    own = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1", "UV_COMPILE_BYTECODE": "1"}
    return ({"UV_DEFAULT_INDEX": index[1]} if index else {}) | own | os.environ


def _test(python: Path, *arguments: str) -> int:
    spread = () if any(a.startswith(("-n", "-s", "--pdb")) for a in arguments) else SPREAD
    return _become(python, "-m", "pytest", *spread, *arguments)


def _test_lowest(python: Path, uv: Path, *arguments: str) -> int:
    """Install the lowest versions of the direct dependencies into an environment of their own, and test there."""
    environment = ROOT / f".venv-lowest-{sys.version_info[0]}.{sys.version_info[1]}"
    lowest = environment / python.relative_to(python.parents[1])
    dependencies = ("--resolution", "lowest-direct", "--group", "dev", "--editable", ".")
    settings = uv_settings()
    for step in (
        ("venv", "--clear", "--python", str(python), str(environment)),
        ("pip", "install", "--python", str(lowest), *dependencies),
    ):
        if code := subprocess.run([uv, "--quiet", *step], env=settings, check=False).returncode:
            return code
    return _test(lowest, *(arguments or ("tests/tools",)))


def _bench(python: Path, uv: Path, *arguments: str) -> int:
    """Measure beside a plain server, which has an environment of its own, as its users have."""
    environment = ROOT / ".venv-bench"
    peer = environment / python.parent.name / python.name
    settings = uv_settings()
    for step in (
        ("venv", "--allow-existing", "--python", str(python), str(environment)),
        ("pip", "sync", "--python", str(peer), "--require-hashes", "bench/peers/requirements.txt"),
    ):
        if code := subprocess.run([uv, "--quiet", *step], env=settings, check=False).returncode:
            return code
    return _become(python, "-m", "bench", str(peer), *arguments)


def _publish(python: Path, uv: Path, word: str, *arguments: str) -> int:
    """Run a word beside the tools of publishing, which have an environment of their own: few need them."""
    environment = ROOT / ".venv-publish"
    tools = environment / python.parent.name
    pins = environment / "requirements.txt"
    os.environ |= uv_settings()
    for step in (
        ("venv", "--allow-existing", "--python", str(python), str(environment)),
        ("export", "--frozen", "--only-group", "publish", "--output-file", str(pins)),
        ("pip", "sync", "--python", str(tools / python.name), "--require-hashes", str(pins)),
    ):
        if code := subprocess.run([uv, "--quiet", *step], check=False).returncode:
            return code
    return _become(python, "-m", f"repository.{word}", str(tools), *arguments)


def _run_all(folder: Path, commands: tuple[tuple[str, ...], ...], all_well: str) -> int:
    """Run every command, and end with a line that names those that failed; the first failure's exit code."""
    codes: dict[str, int] = {}
    for name, *arguments in commands:
        line = " ".join((name, *arguments))
        _say(line)
        codes[line] = _wait(folder / name, *arguments)
    failed = [line for line, code in codes.items() if code]
    _say(f"failed: {', '.join(failed)}" if failed else all_well)
    return next((code for code in codes.values() if code), 0)


def _become(command: Path, *arguments: str) -> int:
    """End as the command itself, so that its signals and its exit code are its own."""
    if os.name != "nt":
        os.execv(command, [str(command), *arguments])
    return _wait(command, *arguments)


def _wait(command: Path, *arguments: str) -> int:
    found = shutil.which(command) or str(command)  # Windows adds .exe
    with _forward_signals(subprocess.Popen([found, *arguments])) as process:
        code = process.wait()
    if code < 0:  # a signal ended it: no further command starts
        sys.exit(128 - code)
    return code


@contextmanager
def _forward_signals(process: subprocess.Popen[bytes]) -> Generator[subprocess.Popen[bytes]]:
    """Pass SIGTERM on to `process`; a Ctrl-C reaches it from the terminal by itself."""

    def forward(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    def ignore(number: int, frame: FrameType | None) -> None:
        pass

    previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, forward),
        signal.SIGINT: signal.signal(signal.SIGINT, ignore),
    }
    try:
        yield process
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    print(f"do: {line}", file=sys.stderr, flush=True)
