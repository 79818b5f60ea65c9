"""Simulated labs in processes of their own, in a few hundredths of a second each.

One process imports the lab and makes a production history; each lab is a fork of it, with a portal of its own. Where a
process cannot fork, a lab starts as `testlab-mcp simlab` starts it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

from testlab_mcp.commands.simlab import SimLab

FORKS = hasattr(os, "fork") and sys.platform != "darwin"


class LabProcess(SimLab):
    """A simulated lab, as `SimLab`; it ends with this process, however that ends."""

    def __init__(self) -> None:
        if not FORKS:
            super().__init__()
            return
        self._folder = tempfile.TemporaryDirectory(prefix="testlab-sim-")
        self._ready = Path(self._folder.name) / "ready.json"
        self._lab = _starter().ask("open")

    def services(self) -> dict[str, dict[str, Any]]:
        return self._lab["services"] if FORKS else super().services()

    def close(self) -> None:
        if not FORKS:
            super().close()
            return
        _starter().ask(f"close {self._lab['pid']}")
        self._folder.cleanup()


class _Starter:
    """The process that labs are forks of. It answers each line with a line."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("lab_starter.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        atexit.register(self._close)

    def ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        with self._asking:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, "the process that labs are forks of has ended"
        return json.loads(answer)

    def _close(self) -> None:
        self._process.communicate()


@cache
def _starter() -> _Starter:
    return _Starter()
