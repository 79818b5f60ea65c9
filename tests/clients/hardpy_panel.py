"""A real HardPy operator panel as a process, on a tests folder of its own, and plain requests to it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

STAND = Path(__file__).parent / "scripts" / "hardpy_stand"
SECONDS = 60.0
"""A busy machine may take so long to import HardPy some times over."""


class PanelProcess:
    """`hardpy run` on a folder that `hardpy init` made."""

    def __init__(self, python: Path, settings: Mapping[str, str], folder: Path, storage: str = "json") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self._hardpy, self._settings = [python, "-m", "hardpy.cli.cli"], dict(settings)
        where = ["--frontend-host", "127.0.0.1", "--frontend-port", str(self.port)]
        made = [*self._hardpy, "init", folder, "--no-create-database", "--storage-type", storage, *where]
        subprocess.run(made, env=self._settings, cwd=folder.parent, check=True, capture_output=True, timeout=SECONDS)
        (folder / "test_1.py").unlink()
        for module in STAND.glob("*.py"):
            shutil.copy(module, folder / f"test_{module.name}")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the panel, and wait until it has collected its tests."""
        command = [*self._hardpy, "run", self.folder]
        self._process = subprocess.Popen(
            command,
            env=self._settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.wait(lambda: self.get("/api/status") == {"status": "ready"} and self.live().get("status") == "ready")

    def kill(self) -> None:
        """End the panel and its tests, as a power cut does."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None

    def get(self, path: str) -> Any:
        """What the panel answers, None while it does not."""
        try:
            return httpx2.get(self.url + path, trust_env=False, timeout=SECONDS).json()
        except httpx2.TransportError:
            return None

    def post(self, path: str, body: object = None) -> Any:
        return httpx2.post(self.url + path, json=body, trust_env=False, timeout=SECONDS).json()

    def documents(self) -> list[dict[str, Any]]:
        """Every document, as it is."""
        return [row["doc"] for row in (self.get("/api/json_data") or {}).get("rows", [])]

    def live(self) -> dict[str, Any]:
        """The live state."""
        return next((document for document in self.documents() if "_" in document["_id"]), {})

    def select(self, *tests: str) -> None:
        """Have these collected, and see it done: what is shown already, others are shown before."""
        self.wait(lambda: self.get("/api/status") == {"status": "ready"})
        every = [f"{module.stem}::{case}" for module in self.folder.glob("test_*.py") for case in _cases(module)]
        for chosen in (every[:1] if list(tests) != every[:1] else every[1:2], tests):
            self.post("/api/selected_tests", list(chosen))
            self.wait(lambda wanted=set(chosen): self.tests() == wanted and self.live()["start_time"] is None)

    def tests(self) -> set[str]:
        """The tests in the live state."""
        modules = self.live()["modules"].items()
        return {f"{module}::{case}" for module, found in modules for case in found["cases"]}

    def begin(self, *tests: str) -> int:
        """Start these tests past the server; when the first began."""
        self.select(*tests)
        assert self.get("/api/start") == {"status": "started"}
        self.wait(lambda: self.live().get("start_time") is not None)
        return self.live()["start_time"]

    def rest(self) -> None:
        """Stop what runs, and wait until nothing does."""
        if self.get("/api/status") != {"status": "ready"}:
            self.get("/api/stop")
            self.wait(lambda: self.get("/api/status") == {"status": "ready"})

    def wait(self, seen: Any) -> None:
        until = time.monotonic() + SECONDS
        while not seen():
            assert self._process is None or self._process.poll() is None, "the panel has ended"
            assert time.monotonic() < until, f"not seen within {SECONDS:g} s"
            time.sleep(0.1)


def _cases(module: Path) -> list[str]:
    return re.findall(r"^def (test_\w+)", module.read_text(encoding="utf-8"), re.MULTILINE)


@contextmanager
def open_panel(
    python: Path, settings: Mapping[str, str], folder: Path, storage: str = "json"
) -> Iterator[PanelProcess]:
    """A panel that ends with the context."""
    panel = PanelProcess(python, settings, folder, storage)
    try:
        panel.start()
        yield panel
    finally:
        panel.kill()
