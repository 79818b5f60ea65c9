"""The simulated lab as a child process, which ends when this process does, however that ends."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from testlab_sim import SERVICES
from testlab_tools.errors import ConfigError

START_SECONDS = 20.0


class SimLab:
    """Starts `python -m testlab_sim`, which ends when its standard input closes.

    An `early` lab states its URLs before it answers; a request sent meanwhile waits.

    >>> with SimLab() as sim:
    ...     config = sim.config_toml()
    """

    def __init__(self, *, early: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="testlab-sim-")
        self._ready = Path(self._folder.name) / "ready.json"
        command = [sys.executable, "-m", "testlab_sim", "--ready-file", str(self._ready), "--exit-with-stdin"]
        self._process = subprocess.Popen(
            [*command, "--early"] if early else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> SimLab:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def services(self) -> dict[str, dict[str, Any]]:
        """URL and token of each service, by kind; waits until the lab has stated them.

        Raises:
            ConfigError: the lab did not start.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ConfigError("the simulated lab did not start", "", "`testlab-mcp simlab` shows why.")
            time.sleep(0.01)
        return json.loads(self._ready.read_text(encoding="utf-8"))["services"]

    def config_toml(self, save_to: str = "", answer_within_seconds: float = 0, archive: bool = False) -> str:
        """A config file for its services, without an audit. Its deliveries, and with `archive` its history, are deleted
        with the lab."""
        files = f"[files]\nsave_to = [{json.dumps(save_to)}]\n" if save_to else ""
        database = json.dumps(str(self._ready.with_name("deliveries.sqlite")))
        wait = f"answer_within_seconds = {answer_within_seconds:g}\n" if answer_within_seconds else ""
        tables = [
            f'[services.{SERVICES[kind]}]\nkind = "{kind}"\nurl = "{service["url"]}"\ntoken = "{service["token"]}"\n'
            for kind, service in self.services().items()
            if kind in SERVICES
        ]
        history = f"[archive]\npath = {json.dumps(str(self._ready.with_name('archive')))}\n" if archive else ""
        own = [f"[durable]\npath = {database}\n{wait}", history, "[audit]\nenabled = false\n"]
        return "\n".join([files, *own, *tables])

    def close(self) -> None:
        """Kill the process and delete its folder."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe:
                pipe.close()
        self._folder.cleanup()
