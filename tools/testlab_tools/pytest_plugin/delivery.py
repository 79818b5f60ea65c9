"""Where a session's run goes: a file in a folder, and a service, by a process of testlab-mcp that delivers it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from testlab_tools.errors import LabError
from testlab_tools.files.folders import sanitize_path
from testlab_tools.models.requests import NewRun
from testlab_tools.pytest_plugin import read_option
from testlab_tools.reports.testlab_run import write_run
from testlab_tools.untrusted import sanitize

WAIT_S = 30.0
"""For a service: recording answers within some 4 s, as `queued` where the service does not."""
KEPT = ".testlab"
"""The folder, below pytest's root, of runs that a service has not taken."""


@dataclass
class Delivered:
    """What is said of a run; `safe` is False where it is neither in the folder asked for nor recorded or queued."""

    told: list[str] = field(default_factory=list[str])
    safe: bool = True


@dataclass(frozen=True)
class Delivery:
    """The places a run goes to."""

    folder: Path
    service: str
    config: str
    keeps: bool

    @classmethod
    def from_config(cls, config: pytest.Config) -> Delivery:
        """By options and ini keys; relative folders are below pytest's root. Raises UsageError where there is none."""
        folder, service = read_option(config, "folder"), read_option(config, "service")
        if not folder and not service:
            raise pytest.UsageError("--testlab needs --testlab-folder DIR or --testlab-service NAME")
        place = config.rootpath / Path(folder or KEPT).expanduser()
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise pytest.UsageError(f"--testlab-folder cannot be made ({error.strerror})") from None
        return cls(place, service, read_option(config, "config"), bool(folder))

    def deliver(self, run: NewRun, station: str, operator: str, log: str) -> Delivered:
        """Write the run, whole or not at all, then record it. What no service has taken stays in the folder."""
        done = Delivered()
        begun = run.started_at.strftime("%Y%m%dT%H%M%SZ")
        path = self.folder / f"{begun}-{sanitize_path(run.serial_number.replace('/', '_'))}-{run.ref[:8]}.json"
        try:
            _write_whole(path, write_run(run, station=station, operator=operator, log=log))
        except (LabError, OSError) as error:
            return Delivered([f"the run ({run.outcome}) could NOT be written: {error}"], safe=False)
        if self.keeps:
            done.told.append(f"the run ({run.outcome}) is written to {path}")
        if self.service:
            done.safe, said = self._record(path)
            done.told.append(said)
            if not self.keeps and done.safe:
                path.unlink(missing_ok=True)
            elif not done.safe:
                done.told.append(f"It is kept: testlab-mcp record {path} --service {self.service} records it, once.")
        return done

    def _record(self, path: Path) -> tuple[bool, str]:
        """Whether the run is recorded or queued, and what is said of it."""
        command = [sys.executable, "-m", "testlab_mcp", "record", str(path), "--service", self.service, "--json"]
        command += ["--config", self.config] if self.config else []
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=WAIT_S, check=False)
        except (subprocess.TimeoutExpired, OSError) as error:
            why = f"no answer within {WAIT_S:.0f} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
            return False, f"whether the run is recorded at {self.service} is not known: {why}."
        if done.returncode:
            said = sanitize(done.stderr.decode("utf-8", "replace")).strip().splitlines()
            return False, f"the run is NOT recorded at {self.service}: {said[-1] if said else 'no reason is given'}"
        return True, _describe(self.service, done.stdout)


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file at once, for whoever may read its folder. Raises OSError, and leaves nothing."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _describe(service: str, answer: bytes) -> str:
    found = cast("dict[str, Any]", json.loads(answer))
    if queued := found.get("queued"):
        return f"the run is queued for {service} as delivery {queued}: a server that runs brings it there."
    return f"the run is recorded as {', '.join(map(str, found.get('run_ids', []))) or service}."
