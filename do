#!/usr/bin/env python3
"""One word per job. Needs Python 3.11 or newer and pip; everything else goes into .venv.

usage: ./do WORD [ARGUMENTS]          (on Windows: python do WORD [ARGUMENTS])
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
PIP = BIN / ("pip.exe" if os.name == "nt" else "pip")
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "installed.sha256"
UV = "uv==0.13.8"

WORDS = {
    "demo": "tour the six operations on the simulated lab (--report FILE: with your OpenHTF report)",
    "simlab": "run the simulated lab alone (--port N --ready-file F)",
    "serve": "run the MCP server (--demo, --config F, --http HOST:PORT)",
    "doctor": "check the config: reachability, auth and clock of every service",
    "test": "run the tests; arguments go to pytest",
    "crash": "200 runs, 20 kills, on SQLite and PostgreSQL: is each run there once?",
    "load": "1,000 HTTP sessions for a minute: errors, memory, latency",
    "check": "lint, formatting, types and import contracts",
    "format": "format the code and sort its imports",
    "snap": "write the snapshots of the MCP surface anew",
    "tokens": "what the tools cost a model, in tokens",
    "lock": "resolve requirements.lock anew (--upgrade for newer versions)",
}
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("pyright",),
    ("lint-imports", "--no-logo"),
)


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):
        return _fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]} ({sys.executable}).")
    word, *rest = arguments or ["help"]
    if word in ("help", "-h", "--help"):
        print(__doc__.strip(), *(f"  {name:8} {what}" for name, what in WORDS.items()), sep="\n")
        return 0
    if word not in WORDS:
        return _fail(f"no word {word!r}; one of: {', '.join(WORDS)}")
    if not _prepare():
        return 2
    if word not in REPOSITORY_WORDS:
        return _become("testlab-mcp", word, *rest)
    os.chdir(ROOT)
    return REPOSITORY_WORDS[word](*rest)


def _test(*arguments: str) -> int:
    # Most tests wait for servers: several at once take a third of the time. A file's tests share what it starts.
    spread = () if any(a.startswith(("-n", "-s", "--pdb")) for a in arguments) else ("-n", "4", "--dist", "loadfile")
    return _become("python", "-m", "pytest", *spread, *arguments)


def _crash(*arguments: str) -> int:
    os.environ["TESTLAB_CRASH"] = "whole"
    return _test("-n0", "tests/server/deliveries/test_crashes.py", *arguments)


def _load(*arguments: str) -> int:
    os.environ["TESTLAB_LOAD"] = "whole"
    return _test("-n0", "tests/server/load", *arguments)


def _snap(*arguments: str) -> int:
    os.environ["TESTLAB_SNAP"] = "write"
    return _test("-n0", "tests/server/test_surface.py", "tests/server/menu/test_surface.py", *arguments)


def _tokens(*arguments: str) -> int:
    return _become("testlab-mcp", "tools", "--tokens", *arguments)


def _check() -> int:
    return _first_failure([_run(*check) for check in CHECKS])


def _format() -> int:
    return _first_failure([_run("ruff", "check", "--fix", "."), _run("ruff", "format", ".")])


def _lock(*arguments: str) -> int:
    """Resolve pyproject.toml for every Python and platform; keeps the versions there are, unless told --upgrade."""
    if not _pip_install(UV):
        return 2
    os.environ.setdefault("UV_SYSTEM_CERTS", "1")
    options = "--extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate"
    target = ("--no-header", "--quiet", "--output-file", LOCK.name)
    return _run("uv", "pip", "compile", "pyproject.toml", *options.split(), *target, *arguments)


REPOSITORY_WORDS = {
    "test": _test,
    "crash": _crash,
    "load": _load,
    "check": _check,
    "format": _format,
    "snap": _snap,
    "tokens": _tokens,
    "lock": _lock,
}


def _prepare() -> bool:
    """Make .venv what requirements.lock and pyproject.toml say, unless it is already."""
    wanted = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
        return True
    if not PIP.exists():  # venv puts pip in last
        _say("making .venv")
        if not _quietly(sys.executable, "-m", "venv", "--clear", str(VENV)):
            return False
    _say("installing what requirements.lock names (a minute or so)")
    if not _pip_install("--no-deps", "--require-hashes", "-r", str(LOCK)):
        return False
    _say("installing testlab-mcp itself, editable")
    if not _pip_install("--no-deps", "--no-build-isolation", "--editable", str(ROOT)):
        return False
    STAMP.write_text(wanted, encoding="utf-8")
    return True


def _pip_install(*arguments: str) -> bool:
    return _quietly(str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def _command(name: str, *arguments: str) -> list[str]:
    return [shutil.which(name, path=str(BIN)) or str(BIN / name), *arguments]


def _become(name: str, *arguments: str) -> int:
    """End as the command itself, so that its signals and its exit code are its own."""
    command = _command(name, *arguments)
    if os.name != "nt":
        os.execv(command[0], command)
    return _wait(command)


def _run(name: str, *arguments: str) -> int:
    _say(" ".join((name, *arguments)))
    return _wait(_command(name, *arguments))


def _wait(command: list[str]) -> int:
    with _forwarding(subprocess.Popen(command)) as process:
        code = process.wait()
    if code < 0:  # ended by a signal: so are we, and no further command starts
        sys.exit(128 - code)
    return code


@contextlib.contextmanager
def _forwarding(process: subprocess.Popen[bytes]):
    """Pass SIGTERM on to `process`; a Ctrl-C reaches it from the terminal by itself."""
    previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number)),
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
    }
    try:
        yield process
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _quietly(*command: str) -> bool:
    """Run `command`, and show what it printed only when it failed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        _fail(f"failed with exit code {done.returncode}: {' '.join(command)}")
    return done.returncode == 0


def _first_failure(codes: list[int]) -> int:
    return next((code for code in codes if code), 0)


def _say(line: str) -> None:
    print(f"do: {line}", file=sys.stderr, flush=True)


def _fail(line: str) -> int:
    _say(line)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
