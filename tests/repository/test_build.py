"""What is published: the files of wheel and sdist, the bundle's manifest, the registry's entry; one version for all."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from repository.build import BUNDLED, describe_bundle, describe_server
from testlab_mcp import __version__
from testlab_mcp.commands.main import build_parser
from testlab_tools.tools import all_tools

ROOT = Path(__file__).parents[2]
PACKAGES = {"testlab_mcp", "testlab_tools", "testlab_sim"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> list[str]:
    with ZipFile(next(dist.glob("*.whl"))) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def sdist(dist: Path) -> list[str]:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        return archive.getnames()


def test_the_wheel_has_three_typed_packages_and_nothing_else(wheel: list[str]) -> None:
    info = f"testlab_mcp-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in wheel} == {*PACKAGES, info}
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(wheel)
    assert f"{info}/licenses/LICENSE" in wheel
    assert f"{info}/entry_points.txt" in wheel


def test_neither_tests_nor_caches_are_in_the_wheel(wheel: list[str]) -> None:
    wrong = re.compile(r"(^|/)(tests?|__pycache__|node_modules|\.[^/]+)/|\.py[co]$")
    assert [name for name in wheel if wrong.search(name)] == []


def test_every_module_of_the_product_is_in_the_wheel(wheel: list[str]) -> None:
    rooms = (ROOT / "server", ROOT / "tools")
    modules = {
        path.relative_to(room).as_posix() for room in rooms for name in PACKAGES for path in (room / name).rglob("*.py")
    }
    assert modules <= set(wheel)


def test_the_skills_are_in_the_wheel(wheel: list[str]) -> None:
    skills = (ROOT / "server" / "testlab_mcp" / "skills").glob("*/SKILL.md")
    assert {path.relative_to(ROOT / "server").as_posix() for path in skills} == {
        name for name in wheel if name.startswith("testlab_mcp/skills/")
    }


def test_the_sdist_can_be_built_from_and_holds_no_environment(sdist: list[str]) -> None:
    top = f"testlab_mcp-{__version__}"
    assert {f"{top}/{name}" for name in ("pyproject.toml", "README.md", "LICENSE", "uv.lock", "PKG-INFO")} <= set(sdist)
    assert [name for name in sdist if re.search(r"/(\.venv|\.uv|__pycache__|\.\w+_cache|site|dist)/", name)] == []


def test_the_registry_starts_the_server_of_this_version() -> None:
    entry = describe_server("someone")
    (package,) = entry["packages"]
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert len(entry["description"]) <= 100
    assert entry["version"] == package["version"] == __version__
    words = [argument.get("value", argument.get("name")) for argument in package["packageArguments"]]
    build_parser()[0].parse_args([*words, "lab.toml"])


def test_the_bundle_starts_the_server_of_this_version() -> None:
    manifest = describe_bundle()
    assert manifest["version"] == __version__
    assert [tool["name"] for tool in manifest["tools"]] == [tool.name for tool in all_tools()]
    entry = manifest["server"]["entry_point"]
    assert (ROOT / entry).exists()
    assert any(entry.startswith(name) for name in BUNDLED)
    words = manifest["server"]["mcp_config"]["args"]
    build_parser()[0].parse_args(words[words.index("testlab-mcp") + 1 :])


def test_the_version_stands_in_one_place() -> None:
    quoted = re.compile(rf'["\']{re.escape(__version__)}["\']')
    files = [ROOT / "pyproject.toml", *(ROOT / "server").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]
    found = [path.relative_to(ROOT).as_posix() for path in files if quoted.search(path.read_text(encoding="utf-8"))]
    assert found == ["server/testlab_mcp/__init__.py"]
