"""The simulated lab as a process of our own: it ends when we do, however we end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from testlab_tools.errors import ConfigError

START_SECONDS = 20.0
TOKEN_ENV = "TESTLAB_SIM_TOKEN"


class SimLab:
    """Starts `python -m testlab_sim`; closing its standard input ends it.

    >>> with SimLab() as sim:
    ...     config = sim.config_toml()
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="testlab-sim-")
        self._ready = Path(self._folder.name) / "ready.json"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "testlab_sim", "--ready-file", str(self._ready), "--exit-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> SimLab:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def services(self) -> dict[str, dict[str, Any]]:
        """URL and token of each service, once they answer. Raises ConfigError when the lab does not come up."""
        deadline = time.monotonic() + START_SECONDS
        while not self._ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ConfigError("the simulated lab did not start", "", "`testlab-mcp simlab` shows why.")
            time.sleep(0.01)
        return json.loads(self._ready.read_text(encoding="utf-8"))["services"]

    def config_toml(self, save_to: str = "") -> str:
        """A config file for the three services; what is to be delivered to them ends with the lab. Nothing is
        audited: nothing there is anybody's."""
        services = self.services()
        tables = [
            f'[services.{name}]\nkind = "{kind}"\nurl = "{services[kind]["url"]}"\ntoken = "{services[kind]["token"]}"'
            for name, kind in (("portal", "stbtester"), ("factory", "tofupilot"), ("cloud", "standcloud"))
        ]
        files = f"[files]\nsave_to = [{json.dumps(save_to)}]\n\n" if save_to else ""
        durable = f"[durable]\npath = {json.dumps(str(self._ready.with_name('deliveries.sqlite')))}\n\n"
        audit = "[audit]\nenabled = false\n\n"
        return f"{files}{durable}{audit}{chr(10).join(tables)}\n"

    def close(self) -> None:
        """End the process and take away its folder."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
        self._folder.cleanup()
