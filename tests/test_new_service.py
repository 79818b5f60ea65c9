"""`./do new-service NAME` writes a service that passes every check and its own tests as it comes out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEW = ("tools/testlab_tools/adapters/my_lab", "tools/testlab_sim/my_lab", "tests/tools/adapters/my_lab")
SCAFFOLD = ("tools/scaffold/new_service.py",)
TYPES = {
    "include": NEW,
    "typeCheckingMode": "strict",
    "reportMissingTypeStubs": False,
    "pythonVersion": "3.11",
    "extraPaths": ["server", "tools", "."],
}
CHECKS = {
    "ruff check": ("ruff", "check", *NEW),
    "ruff format": ("ruff", "format", "--check", *NEW),
    "pyright": ("pyright", "--pythonpath", sys.executable),
    "lint-imports": ("lint-imports", "--no-logo"),
    "its tests": ("pytest", "-p", "no:cacheprovider", NEW[2]),
}


def run(repository: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this environment with the copy's packages in place of ours."""
    paths = os.pathsep.join(str(repository / name) for name in ("server", "tools"))
    found = shutil.which(command[0], path=str(Path(sys.executable).parent)) or sys.executable
    return subprocess.run(
        [found, *command[1:]],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, as far as a service needs it, with a new service in it."""
    copy = tmp_path_factory.mktemp("repository")
    for name in ("server", "tools"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests" / "tools").mkdir(parents=True)
    for path in (ROOT / "pyproject.toml", *ROOT.glob("tests/*.py"), ROOT / "tests" / "tools" / "conftest.py"):
        shutil.copy(path, copy / path.relative_to(ROOT))
    (copy / "pyrightconfig.json").write_text(json.dumps(TYPES), encoding="utf-8")
    made = run(copy, "python", *SCAFFOLD, "my_lab")
    assert made.returncode == 0, made.stderr
    assert all(part in made.stdout for part in NEW)
    return copy


@pytest.mark.parametrize("check", CHECKS)
def test_a_new_service_passes(check: str, repository: Path) -> None:
    done = run(repository, *CHECKS[check])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["", "MyLab", "1lab", "my-lab", "my__lab", "class", "../lab", "my_lab"])
def test_a_name_that_cannot_be_a_new_one_writes_nothing(name: str, repository: Path) -> None:
    before = sorted(repository.rglob("*.py"))
    refused = run(repository, "python", *SCAFFOLD, name)
    assert refused.returncode == 2
    assert refused.stderr.startswith("new-service: " if name == "my_lab" else "usage: ")
    assert sorted(repository.rglob("*.py")) == before
