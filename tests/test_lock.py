"""`uv.lock` against `pyproject.toml`: what a fresh clone and the image install is what the project asks for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
LOCKED: dict[str, list[dict[str, Any]]] = {}
for package in LOCK["package"]:
    LOCKED.setdefault(package["name"], []).append(package)
(PROJECT,) = LOCKED.pop("testlab-mcp")


def _requirements(group: str) -> Iterator[Requirement]:
    for entry in PYPROJECT["dependency-groups"][group]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from _requirements(entry["include-group"])


def _required() -> list[Requirement]:
    project = PYPROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [
        *map(Requirement, lines),
        *(wanted for group in PYPROJECT["dependency-groups"] for wanted in _requirements(group)),
    ]


@pytest.mark.parametrize("wanted", _required(), ids=str)
def test_every_dependency_is_locked_to_versions_that_satisfy_it(wanted: Requirement) -> None:
    locked = LOCKED.get(canonicalize_name(wanted.name), [])
    assert locked, "./do lock"
    assert all(package["version"] in wanted.specifier for package in locked), "./do lock"


def test_the_lock_was_made_from_this_pyproject() -> None:
    metadata = PROJECT["metadata"]
    entries = [*metadata["requires-dist"], *(entry for group in metadata["requires-dev"].values() for entry in group)]
    locked = {(entry["name"], SpecifierSet(entry["specifier"])) for entry in entries}
    assert locked == {(canonicalize_name(wanted.name), wanted.specifier) for wanted in _required()}, "./do lock"


def test_every_locked_file_has_a_hash() -> None:
    for packages in LOCKED.values():
        for package in packages:
            files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
            assert files, package["name"]
            assert all(file["hash"].startswith("sha256:") for file in files), package["name"]


def test_the_lock_names_the_public_index_alone() -> None:
    sources = {tuple(package["source"].items()) for packages in LOCKED.values() for package in packages}
    assert sources == {(("registry", "https://pypi.org/simple"),)}, "./do lock"
