"""What README and docs/ tell people to type: every block is run by a test, and what a sentence names is there."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from repository.words import WORDS
from testlab_mcp.commands.call_arguments import find_tool_named, parse_arguments
from testlab_mcp.commands.main import build_parser
from tests.repository.pages import PAGES, ROOT, Block, blocks

INLINE = re.compile(r"`((?:uvx )?testlab-mcp [^`]+|(?:\./|python )do [^`]+)`")
GENERATED = re.compile(r"<!-- commands: begin.*?commands: end -->", re.DOTALL)
"""The table of commands shows what each takes, in brackets: nothing that is typed so."""
RUN = {"sh", "toml", "json", "yaml", "groovy"}
"""By test_docs_run.py, on every page."""
PROGRAMS = {"python", "js"}
"""By test_new_tool.py on docs/adding-a-tool.md, by tests/tools/pytest_plugin/ on docs/pytest.md, and by
tests/clients/agents/ on docs/clients/."""
NOT_RUN = {
    "adding-a-tool.md": "tests of a tool that is made up: test_new_tool.py adds it to a copy",
    "campaigns.md": "a conversation with a model: tests/server/campaigns/test_listening.py has it",
    "adding-a-service.md": "a word that writes into the repository: tests/test_new_service.py runs it in a copy",
    "tools.md": "a conversation with a model",
    "labgrid.md": "a conversation with a model",
    "architecture.md": "a diagram",
    "deployment.md": "variables that tests/server/telemetry/ sets, and a config of Prometheus's own",
    "clients.md": "an answer's text, of which tests/server/protocol/test_tables.py has another",
}


def _inline() -> list[Any]:
    found = {
        (page.name, " ".join(line.split()))
        for page in PAGES
        for line in INLINE.findall(GENERATED.sub("", page.read_text(encoding="utf-8")))
    }
    return [pytest.param(line, id=f"{page}: {line}") for page, line in sorted(found)]


@pytest.mark.parametrize("block", [pytest.param(block, id=block.name) for block in blocks()])
def test_every_block_is_run_by_a_test(block: Block) -> None:
    if block.language in PROGRAMS:
        assert block.page.name in ("adding-a-tool.md", "pytest.md") or block.page.parent.name == "clients"
    elif block.language not in RUN:
        assert block.language in ("", "mermaid")
        assert block.page.name in NOT_RUN


@pytest.mark.parametrize("line", _inline())
def test_a_command_in_a_sentence_is_one_that_there_is(line: str) -> None:
    words = shlex.split(line.removeprefix("uvx "))
    named = [command.prog.split()[1:] for command in build_parser()[1]]
    if words[1:] in [*named, ["call", "run_tests"]]:
        return  # a mention, without what it takes
    if words[0] == "testlab-mcp":
        _parse(words[1:])
    else:
        word = words[1 if words[0] == "./do" else 2]
        assert word in WORDS or word == "WORD"


def test_compose_and_image_start_the_server() -> None:
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    command = re.search(r"^    command: \[(.*)\]$", compose, re.MULTILINE)
    assert command
    _parse([word.strip(' "') for word in command[1].split(",")])
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert 'ENTRYPOINT ["testlab-mcp"]' in image
    for words in re.findall(r"^#.* testlab-mcp (serve .*)$", image, re.MULTILINE):
        _parse(shlex.split(words))


def _parse(words: list[str]) -> None:
    if {"--version", "--help"} & set(words):
        return
    args, rest = build_parser()[0].parse_known_args(words)
    if args.command == "call" and args.tool and args.tool != "TOOL" and "--help" not in rest:
        parse_arguments(find_tool_named(args.tool), rest)
    elif args.command != "call":
        assert rest == []
