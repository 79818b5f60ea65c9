"""docs/adding-a-tool.md: its four steps, done as it says in a copy of the repository, make a tool that works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.pages import ROOT, blocks

STEPS = [block.text for block in blocks("python") if block.page.name == "adding-a-tool.md"]
TESTS = "tests/server/test_tally_runs.py"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, as far as a tool needs it, with the tool of the page in it."""
    copy = tmp_path_factory.mktemp("repository")
    for name in ("server", "tools"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests/server").mkdir(parents=True)
    also = ("tests/server/conftest.py", "tests/server/test_tool_samples.py", "pyproject.toml")
    for path in (*ROOT.glob("tests/*.py"), *(ROOT / name for name in also)):
        shutil.copy(path, copy / path.relative_to(ROOT))
    handler, result, sample, test = STEPS
    _append(copy / "tools/testlab_tools/models/results.py", result)
    _append(
        copy / "tools/testlab_tools/tools/runs.py", f"from testlab_tools.models.results import RunCount\n\n{handler}"
    )
    _put_first(copy / "tools/testlab_tools/tools/__init__.py", "    return (\n", "        runs.tally_runs,\n")
    _put_first(copy / "tests/tool_samples.py", "    for sample in [\n", sample.strip()[1:-1])
    (copy / TESTS).write_text(f"from typing import Any\n\n\n{test}", encoding="utf-8")
    return copy


def _append(path: Path, text: str) -> None:
    path.write_text(f"{path.read_text(encoding='utf-8')}\n\n{text}", encoding="utf-8")


def _put_first(path: Path, before: str, text: str) -> None:
    whole = path.read_text(encoding="utf-8")
    assert whole.count(before) == 1
    path.write_text(whole.replace(before, before + text), encoding="utf-8")


def test_its_test_and_those_of_every_tools_sample_pass(repository: Path) -> None:
    paths = os.pathsep.join(str(repository / name) for name in ("server", "tools"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", TESTS, "tests/server/test_tool_samples.py"],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
