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

from testlab_sim import SERVICES
from testlab_tools.errors import ConfigError

START_SECONDS = 20.0


class SimLab:
    """Starts `python -m testlab_sim`; closing its standard input ends it.

    An `early` one says where it is before it answers: who asks it meanwhile waits.

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
        """URL and token of each service, once they answer, or are about to.

        Raises:
            ConfigError: the lab does not come up.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ConfigError("the simulated lab did not start", "", "`testlab-mcp simlab` shows why.")
            time.sleep(0.01)
        return json.loads(self._ready.read_text(encoding="utf-8"))["services"]

    def config_toml(self, save_to: str = "", answer_within_seconds: float = 4.0) -> str:
        """A config file for its services; what is to be delivered to them ends with the lab. Nothing is
        audited: nothing there is anybody's."""
        tables = [
            f'[services.{SERVICES[kind]}]\nkind = "{kind}"\nurl = "{one["url"]}"\ntoken = "{one["token"]}"'
            for kind, one in self.services().items()
        ]
        files = f"[files]\nsave_to = [{json.dumps(save_to)}]\n\n" if save_to else ""
        place = json.dumps(str(self._ready.with_name("deliveries.sqlite")))
        patience = f"answer_within_seconds = {answer_within_seconds:g}\n" if answer_within_seconds != 4 else ""
        durable = f"[durable]\npath = {place}\n{patience}\n"
        audit = "[audit]\nenabled = false\n\n"
        return f"{files}{durable}{audit}{chr(10).join(tables)}\n"

    def close(self) -> None:
        """End the process and take away its folder. It keeps nothing, so it need not be asked."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe:
                pipe.close()
        self._folder.cleanup()
