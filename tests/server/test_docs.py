"""The documentation keeps up with the code: every tool, command and config key is in it, and what it names is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from pydantic.fields import FieldInfo

from repository import docs
from testlab_mcp.commands.main import build_parser
from testlab_tools.tools import all_tools

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
KEYS = list(docs.config_keys())
TOOLS = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def fresh() -> dict[Path, str]:
    """The generated files, as they should be."""
    return docs.fresh()


@pytest.mark.parametrize("path", [*docs.pages(), docs.RUN_SCHEMA], ids=lambda path: path.name)
def test_what_is_generated_is_fresh(path: Path, fresh: dict[Path, str]) -> None:
    assert path.read_text(encoding="utf-8") == fresh[path], f"{path.name} is stale: run ./do docs"


@pytest.mark.parametrize("name", [tool.name for tool in all_tools()])
def test_every_tool_is_documented(name: str) -> None:
    assert f"| `{name}` |" in TOOLS, f"docs/tools.md does not list {name}: run ./do docs"


@pytest.mark.parametrize("command", [command.prog for command in build_parser()[1]])
def test_every_command_is_documented(command: str) -> None:
    assert f"| `{command}" in COMMANDS, f"docs/commands.md does not list {command}: run ./do docs"


@pytest.mark.parametrize(("table", "name", "field"), [pytest.param(*key, id=f"{key[0]} {key[1]}") for key in KEYS])
def test_every_config_key_is_documented(table: str, name: str, field: FieldInfo) -> None:
    assert field.description, f"{table} {name} has no Field(description=…)"
    section = CONFIGURATION.partition(f"## `{table}`")[2].partition("\n## ")[0]
    assert f"| `{name}` |" in section, f"docs/configuration.md does not list {table} {name}: run ./do docs"


def test_every_dependency_says_what_it_is_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    table = text.partition("<!-- dependencies: begin -->")[2].partition("<!-- dependencies: end -->")[0]
    listed = re.findall(r"^\| ([\w-]+) \| \w", table, re.MULTILINE)
    assert sorted(listed) == sorted(["dependency", *(Requirement(line).name for line in project["dependencies"])])
    assert set(re.findall(r"`testlab-mcp\[(\w+)\]`", text)) == set(project["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = {page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)}
    named = {ROOT / name for name in re.findall(r"`((?:server/testlab_|tools/testlab_|tests/|docs/)[\w./-]+)`", text)}
    missing = [str(path.relative_to(ROOT)) for path in sorted(linked | named) if not path.exists()]
    assert missing == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    found, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop().resolve()
        if page not in found and page.suffix == ".md":
            found.add(page)
            left += [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))]
    assert {page for page in PAGES if page.name != "AGENTS.md"} <= found
