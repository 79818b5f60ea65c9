"""What README and docs/ tell people to type or to paste: commands are ones that there are, configs can be read."""

from __future__ import annotations

import ast
import base64
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from repository.words import WORDS
from testlab_mcp.commands.call_arguments import find_tool_named, parse_arguments
from testlab_mcp.commands.main import build_parser
from testlab_mcp.config.loading import parse_config
from testlab_tools.reports.read import read_reports

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md", "SECURITY.md")),
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions"),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:uvx )?testlab-mcp [^`]+|(?:\./|python )do [^`]+)`")
GENERATED = re.compile(r"<!-- commands: begin.*?commands: end -->", re.DOTALL)
"""The table of commands shows what each takes, in brackets: nothing that is typed so."""
OTHERS = {"uv", "pip", "pipx", "npm", "npx", "claude", "codex", "docker", "pre-commit", "chmod"}
"""Programs that are not ours."""
READ = {"", "sh", "toml", "json", "yaml", "python", "js", "groovy", "mermaid"}


def _blocks(*languages: str) -> list[Any]:
    return [
        pytest.param(match[2], id=f"{page.name}-{number}")
        for page in PAGES
        for number, match in enumerate(FENCE.finditer(page.read_text(encoding="utf-8")), 1)
        if match[1] in languages
    ]


def _inline() -> list[Any]:
    found = {
        (page.name, " ".join(line.split()))
        for page in PAGES
        for line in INLINE.findall(GENERATED.sub("", page.read_text(encoding="utf-8")))
    }
    return [pytest.param(line, id=f"{page}: {line}") for page, line in sorted(found)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    languages = {match[1] for match in FENCE.finditer(page.read_text(encoding="utf-8"))}
    assert languages <= READ


@pytest.mark.parametrize("text", _blocks("sh"))
def test_a_shell_block_has_commands_that_there_are(text: str) -> None:
    for line in text.replace("\\\n", " ").splitlines():
        _check_command(line)


@pytest.mark.parametrize("line", _inline())
def test_a_command_in_a_sentence_is_one_that_there_is(line: str) -> None:
    words = shlex.split(line.removeprefix("uvx "))
    named = [command.prog.split()[1:] for command in build_parser()[1]]
    if words[1:] in [*named, ["call", "run_tests"]]:
        return  # a mention, without what it takes
    _check_command(line)


@pytest.mark.parametrize("text", _blocks("toml"))
def test_a_config_is_read(text: str) -> None:
    tables = tomllib.loads(text)
    if "mcp_servers" not in tables:
        parse_config(text)
        return
    (server,) = tables["mcp_servers"].values()  # a client's config
    _check_command(shlex.join([server["command"], *server["args"]]))


@pytest.mark.parametrize("text", _blocks("json"))
def test_an_entry_for_a_client_starts_the_server(text: str) -> None:
    entry = json.loads(text)
    if entry.get("format") == "testlab-run":
        assert read_reports(text.encode(), "run.json")
        return
    servers = cast("dict[str, Any]", entry.get("servers") or entry["mcpServers"])
    for server in servers.values():
        _check_command(shlex.join([server["command"], *server["args"]]))


def test_the_links_that_add_the_server_start_it() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = {urlsplit(link).hostname: parse_qs(urlsplit(link).query) for link in re.findall(r"\((https://\S+)\)", text)}
    vscode = json.loads(links["vscode.dev"]["config"][0])
    cursor = json.loads(base64.b64decode(links["cursor.com"]["config"][0]))
    for server in (vscode, cursor):
        _check_command(shlex.join([server["command"], *server["args"]]))
    assert links["vscode.dev"]["name"] == links["cursor.com"]["name"] == ["testlab"]


def test_compose_and_image_start_the_server() -> None:
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    command = re.search(r"^    command: \[(.*)\]$", compose, re.MULTILINE)
    assert command
    _parse([word.strip(' "') for word in command[1].split(",")])
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert 'ENTRYPOINT ["testlab-mcp"]' in image
    for words in re.findall(r"^#.* testlab-mcp (serve .*)$", image, re.MULTILINE):
        _parse(shlex.split(words))


@pytest.mark.parametrize("text", _blocks("python"))
def test_code_can_be_compiled(text: str) -> None:
    ast.parse(text)


@pytest.mark.parametrize("text", _blocks("yaml", "groovy"))
def test_a_pipeline_calls_a_tool_as_it_is(text: str) -> None:
    commands = list(_commands_in_a_pipeline(text))
    assert commands
    for command in commands:
        _check_command(command)


def _commands_in_a_pipeline(text: str) -> Iterator[str]:
    """Each command with its continuation: the lines that go on, of YAML or between three quotes."""
    for match in re.finditer(r"(testlab-mcp call .*?--junit \S+)", text.replace("'''", " "), re.DOTALL):
        yield " ".join(match[1].replace("\\\n", " ").split())


def _check_command(line: str) -> None:
    """Parse the arguments of a command of ours, a tool's own as well; nothing is run."""
    if match := re.fullmatch(r'eval "\$\((.*)\)"', line):
        line = match[1]
    words = shlex.split(line, comments=True)
    if words[:1] == ["$"] or not words:
        return
    if "testlab-mcp" in words and words[0] in {"testlab-mcp", "uvx", "docker", "claude", "codex"}:
        rest = words[words.index("testlab-mcp") + 1 :]
        if words[0] != "docker" or "run" in words:
            _parse(rest)
    elif words[0] == "./do" or words[:2] == ["python", "do"]:
        word = words[1 if words[0] == "./do" else 2]
        assert word in WORDS or word == "WORD"
    else:
        assert words[0] in OTHERS, f"what is {words[0]}?"


def _parse(words: list[str]) -> None:
    if {"--version", "--help"} & set(words):
        return
    args, rest = build_parser()[0].parse_known_args(words)
    if args.command == "call" and args.tool and args.tool != "TOOL" and "--help" not in rest:
        parse_arguments(find_tool_named(args.tool), rest)
    elif args.command != "call":
        assert rest == []
