"""Simulated labs in processes of their own, in a few hundredths of a second each.

One process imports the lab and makes a production history; each lab is a fork of it, with a portal of its own. Where a
process cannot fork, a lab starts as `testlab-mcp simlab` starts it.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from testlab_mcp.commands.simlab import SimLab
from tests.forks import FORKS, Fork


class LabProcess(SimLab):
    """A simulated lab, as `SimLab`; it ends with this process, however that ends."""

    def __init__(self) -> None:
        if not FORKS:
            super().__init__()
            return
        self._folder = tempfile.TemporaryDirectory(prefix="testlab-sim-")
        self._ready = Path(self._folder.name) / "ready.json"
        ours, theirs = os.pipe()
        self._fork = Fork("lab", (), os.environ, {1: theirs})
        with os.fdopen(ours, encoding="utf-8") as told:
            self._services = json.loads(told.readline())["services"]

    def services(self) -> dict[str, dict[str, Any]]:
        return self._services if FORKS else super().services()

    def close(self) -> None:
        if not FORKS:
            super().close()
            return
        self._fork.kill()
        self._fork.wait()
        self._folder.cleanup()
