"""`requirements.lock` against `pyproject.toml`: what a fresh clone installs is what the project asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE)
LOCKED = {canonicalize_name(name): version for name, version in PINS}


def _project() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["dev"]]


@pytest.mark.parametrize("wanted", _project(), ids=lambda wanted: wanted.name)
def test_every_dependency_is_locked_to_a_version_that_satisfies_it(wanted: Requirement) -> None:
    assert canonicalize_name(wanted.name) in LOCKED, "./do lock"
    assert LOCKED[canonicalize_name(wanted.name)] in wanted.specifier, "./do lock"


def test_every_locked_version_has_hashes_and_no_line_names_a_place() -> None:
    requirements = re.split(r"^(?=\w)", LOCK, flags=re.MULTILINE)[1:]
    assert len(requirements) == len(PINS)
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    assert not re.search(r"://|^-|\bfile:|@ ", LOCK, re.MULTILINE)
