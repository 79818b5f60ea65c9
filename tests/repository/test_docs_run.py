"""What README and docs/ tell people to type does what it says: each command, config and program is run."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from testlab_mcp.commands.serve import policy_of
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import load_config
from testlab_tools.reports.read import read_reports
from tests.lab_processes import LabProcess
from tests.repository.pages import PAGES, ROOT, Block, blocks
from tests.repository.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the shell of the documentation is a POSIX shell's")
ELSEWHERE = {
    "testlab-mcp init": "it asks at a terminal: tests/server/test_init.py answers it at one",
    "npx @modelcontextprotocol/inspector": "tests/clients/test_inspector.py runs it where the Inspector is",
    "pytest --testlab": "tests/tools/pytest_plugin/ and tests/server/production/test_pytest_plugin.py run it",
}
"""Lines that are run by another test, and why not here."""
PINNED = ("agents/requirements/*.txt", "agents/*/package.json", "inspector/package.json")
"""What recipes of clients install: tests/clients/ does, by hashes, and runs their programs."""

INLINE = re.compile(r"`((?:uvx )?testlab-mcp [^`]+)`")
GENERATED = re.compile(r"<!-- commands: begin.*?commands: end -->", re.DOTALL)
CHANGE = "testlab-mcp call end_reservation --reservation-id portal:3"
MENTIONED = {
    r"testlab-mcp call( TOOL --help)?$": "without a tool",
    r"testlab-mcp call run_tests": "the blocks of docs/ci.md run it with what it takes",
    r"(uvx )?testlab-mcp serve": "the blocks start it",
    r"testlab-mcp init": "test_init.py answers what it asks; a block of docs/deployment.md gives flags",
    r"testlab-mcp log(in|out)": "a person confirms a code in a browser: tests/server/standcloud/test_signing_in.py",
    r"testlab-mcp record": "tests/server/production/test_pytest_plugin.py records reports by it",
    r"testlab-mcp worker": "it runs until it is told to end: tests/server/outbox/test_worker.py",
    r"testlab-mcp sync": "it reads all history: tests/server/archive/test_command.py",
    r"testlab-mcp tools --tokens": "./do tokens, which CI asks",
    r"uvx testlab-mcp demo": "tests/server/test_commands.py takes the tour",
}
"""Commands in sentences that are not run here, and why not. Their arguments are parsed by test_snippets.py."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def lab() -> Iterator[SimLab]:
    with LabProcess() as started:
        yield started


@pytest.fixture
def sandbox(lab: SimLab, wheel: Path, tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, lab.services()["stbtester"], wheel)


@pytest.fixture(scope="module")
def list_tools(lab: SimLab, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """The tools of the server that a command starts; each command is started once."""
    sandbox = Sandbox(tmp_path_factory.mktemp("servers"), lab.services()["stbtester"], wheel)
    known: dict[str, list[str]] = {}

    def listed(command: str) -> list[str]:
        if command not in known:
            known[command] = sandbox.list_tools(command)
        return known[command]

    return listed


def named(found: list[Block]) -> list[Any]:
    return [pytest.param(block, id=block.name) for block in found]


def lines_of(block: Block) -> list[str]:
    """Its commands, but for what another test runs."""
    lines = [line.strip() for line in block.text.replace("\\\n", " ").splitlines()]
    plain = {line: shlex.join(shlex.split(line, comments=True)) for line in lines}
    return [line for line in lines if plain[line] and not any(_is_use(plain[line], known) for known in ELSEWHERE)]


def _is_use(line: str, known: str) -> bool:
    """Whether a line is one of `ELSEWHERE`: as it stands there, or for the Inspector and pytest, with what follows."""
    return line == known or (known.startswith(("npx", "pytest")) and line.startswith(known))


@pytest.mark.parametrize("block", named(blocks("sh")))
def test_a_block_of_commands_runs(block: Block, sandbox: Sandbox, list_tools: Callable[[str], list[str]]) -> None:
    for line in lines_of(block):
        words = shlex.split(line, comments=True)
        if words[1] == "install" and not line.startswith("pip install .") and "testlab-mcp" not in words[2]:
            assert words[2].partition("[")[0] in _pinned(), line
        elif words[:2] == ["testlab-mcp", "init"]:
            sandbox.config.unlink()
            sandbox.run(line)
        elif "--http" in words:
            _add_table("http", block, sandbox)
            sandbox.serve(line)
        elif words[0] in ("uvx", "testlab-mcp") and "serve" in words:
            assert "list_runs" in list_tools(line)
        else:
            printed = sandbox.run(line, ROOT if words == ["pip", "install", "."] else None)
            assert "does not provide the extra" not in printed
    for command in sandbox.added():
        assert "list_runs" in (list_tools if "--demo" in command else sandbox.list_tools)(shlex.join(command))


def _add_table(table: str, block: Block, sandbox: Sandbox) -> None:
    """Put the first config of the page with this table into the sandbox's."""
    found = next(b.text for b in blocks("toml") if b.page == block.page and f"[{table}]" in b.text)
    sandbox.config.write_text(sandbox.config.read_text(encoding="utf-8") + found, encoding="utf-8")


def _pinned() -> set[str]:
    """The packages that tests/clients/ installs."""
    found: set[str] = set()
    for path in (path for pattern in PINNED for path in (ROOT / "tests/clients").glob(pattern)):
        text = path.read_text(encoding="utf-8")
        names = json.loads(text)["dependencies"] if path.suffix == ".json" else re.findall(r"^([\w.-]+)==", text, re.M)
        found.update(names)
    return found


@pytest.mark.parametrize("block", named(blocks("json")))
def test_an_entry_for_a_client_starts_a_server_with_tools(block: Block, list_tools: Callable[[str], list[str]]) -> None:
    entry = json.loads(block.text)
    if entry.get("format") == "testlab-run":
        assert read_reports(block.text.encode(), "run.json")
        return
    for server in (entry.get("servers") or entry["mcpServers"]).values():
        assert "list_runs" in list_tools(shlex.join([server["command"], *server["args"]]))


@pytest.mark.parametrize("block", named(blocks("toml")))
def test_a_config_is_loaded(
    block: Block, tmp_path: Path, list_tools: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = tomllib.loads(block.text)
    if "mcp_servers" in tables:  # a client's own
        for server in tables["mcp_servers"].values():
            assert "list_runs" in list_tools(shlex.join([server["command"], *server["args"]]))
        return
    for name in re.findall(r'_env = "(\w+)"', block.text):
        monkeypatch.setenv(name, "a-token")
    path = tmp_path / "config.toml"
    path.write_text(block.text, encoding="utf-8")
    config = load_config(path)
    assert {service.name for service in config.lab().services.values()} == set(tables.get("services", ()))
    assert policy_of(config).access == "operate"


@pytest.mark.parametrize("block", named(blocks("yaml", "groovy")))
def test_the_commands_of_a_pipeline_run(block: Block, sandbox: Sandbox) -> None:
    text = block.text.replace("'''", " ").replace("\\\n", " ")
    commands = [" ".join(one.split()) for one in re.findall(r"testlab-mcp call .*?--junit \S+", text, re.DOTALL)]
    assert commands
    for command in [*re.findall(r"pip install \S+", text), *commands]:
        sandbox.run(command)
    assert "<testsuite" in (sandbox.folder / "report.xml").read_text(encoding="utf-8")


def sentences() -> list[str]:
    """The commands in sentences that can be run as they stand."""
    texts = (GENERATED.sub("", page.read_text(encoding="utf-8")) for page in PAGES)
    found = {" ".join(line.split()) for text in texts for line in INLINE.findall(text)}
    return sorted(line for line in found if not any(re.match(known, line) for known in MENTIONED))


@pytest.mark.parametrize("line", sentences())
def test_a_command_in_a_sentence_runs(line: str, sandbox: Sandbox) -> None:
    if "audit" in line:
        sandbox.run(CHANGE)
    sandbox.run(line)


def test_the_links_of_the_readme_start_a_server_with_tools(list_tools: Callable[[str], list[str]]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = {urlsplit(link).hostname: parse_qs(urlsplit(link).query) for link in re.findall(r"\((https://\S+)\)", text)}
    vscode = json.loads(links["vscode.dev"]["config"][0])
    cursor = json.loads(base64.b64decode(links["cursor.com"]["config"][0]))
    for server in (vscode, cursor):
        assert "list_runs" in list_tools(shlex.join([server["command"], *server["args"]]))
    assert links["vscode.dev"]["name"] == links["cursor.com"]["name"] == ["testlab"]
