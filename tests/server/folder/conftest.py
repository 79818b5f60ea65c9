"""Fixtures: a folder of reports that real programs wrote, and the config of a server on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
SUITE = """
import pytest

def test_passes(record_property):
    record_property("firmware", "1.4.2")

def test_fails():
    assert 4.2 > 5.0, "rail is low"

@pytest.mark.skip(reason="no modem")
def test_is_skipped():
    pass
"""
Table = Callable[..., str]


@pytest.fixture(scope="session")
def nightly_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pytest --junit-xml` writes of a suite of three tests."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_bench.py").write_text(SUITE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml=nightly.xml", "."]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout
    return folder / "nightly.xml"


@pytest.fixture
def reports(tmp_path: Path, nightly_report: Path) -> Path:
    """A folder of 17 reports: of OpenHTF 14, of HardPy 2, of pytest 1."""
    folder = tmp_path / "reports"
    shutil.copytree(SAMPLES / "openhtf_lot", folder / "lot 42")
    shutil.copytree(SAMPLES / "hardpy", folder / "stand")
    shutil.copy(nightly_report, folder / "nightly.xml")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """The config of a server with every right on a folder, whose index is the test's own."""

    def made(folder: Path, name: str = "reports", **keys: object) -> str:
        every = {"kind": "folder", "path": str(folder), "index_folder": str(tmp_path / "index"), **keys}
        lines = [f"{key} = {json.dumps(value)}" for key, value in every.items()]
        server = '[server]\naccess = "admin"\ntoolsets = ["all"]\n'
        return "\n".join([server, f"[services.{name}]", *lines, ""])

    return made
