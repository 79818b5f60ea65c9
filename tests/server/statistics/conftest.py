"""A simulated lab whose history is read ahead, once for all tests of a file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.lab_processes import LabProcess
from tests.server_processes import server_command

ALL_TIME = "365d"
"""Longer than any history of the simulated lab."""


@pytest.fixture(scope="module")
def planted() -> Iterator[SimLab]:
    """A simulated lab with nothing but what is planted in it: others' tests record runs in theirs."""
    with LabProcess() as lab:
        lab.services()
        yield lab


@pytest.fixture(scope="module")
def config(planted: SimLab, tmp_path_factory: pytest.TempPathFactory) -> str:
    """All tools, on an archive that `testlab-mcp sync` has filled."""
    folder: Path = tmp_path_factory.mktemp("statistics")
    own = f"\n[archive]\npath = '{folder / 'archive'}'\n[files]\nsave_to = ['{folder}']\n"
    text = f'[server]\ntoolsets = ["all"]\n{planted.config_toml()}{own}'
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    command = [*server_command(), "sync", "--config", str(path)]
    filled = subprocess.run(command, capture_output=True, text=True)
    assert filled.returncode == 0, filled.stdout + filled.stderr
    return text
