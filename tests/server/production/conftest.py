"""Fixtures: the simulated TofuPilot behind both versions of its API, with a folder of reports to read from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab

SAMPLES = Path(__file__).parents[2] / "samples"


class Factory:
    """The simulated TofuPilot, asked without our client."""

    def __init__(self, lab: SimLab, reports: Path, saved: Path, durable: str = "") -> None:
        self._service = lab.services()["tofupilot"]
        self._root = self._service["url"].rpartition("/")[0]
        self._files = f"[files]\nread_from = ['{reports}']\nsave_to = ['{saved}']\n{durable}"
        headers = {"Authorization": f"Bearer {self._service['token']}"}
        self._http = httpx2.Client(base_url=self._service["url"], headers=headers, trust_env=False)

    def config(self, version: str = "v2") -> str:
        """A server in front of it, which may read the folder of reports."""
        table = f'[services.factory]\nkind = "tofupilot"\napi_version = "{version}"\n'
        return f'{self._files}{table}url = "{self._service["url"]}"\ntoken = "{self._service["token"]}"\n'

    def asked(self) -> int:
        """Requests so far, of anybody but this."""
        counts = httpx2.get(f"{self._root}/_sim/requests", trust_env=False).json()
        return counts["count"]

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as TofuPilot itself tells it, whatever version its handle is of."""
        uuid = run_id.partition(":")[2].rpartition("/")[2]
        return self._http.get(f"/api/v2/runs/{uuid}").raise_for_status().json()

    def content(self, url: str) -> bytes:
        """What lies behind a presigned URL."""
        return httpx2.get(url, trust_env=False).raise_for_status().content

    def rows_of(self, serial_number: str) -> list[dict[str, Any]]:
        """A unit's runs, as TofuPilot itself lists them."""
        reply = self._http.get("/api/v2/runs", params={"serial_numbers": serial_number, "limit": 100})
        return reply.raise_for_status().json()["data"]

    def runs_of(self, serial_number: str) -> int:
        """How many runs a unit has."""
        return len(self.rows_of(serial_number))

    def close(self) -> None:
        """End the connections."""
        self._http.close()


@pytest.fixture
def samples() -> Path:
    """The reports that test frameworks wrote."""
    return SAMPLES


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A folder the server may read from, for reports of a test's own."""
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder


@pytest.fixture
def factory(fresh_sim: SimLab, reports: Path, tmp_path: Path) -> Iterator[Factory]:
    """A TofuPilot of its own, for a test that records runs; reads from `reports`."""
    made = Factory(fresh_sim, reports, tmp_path / "saved")
    yield made
    made.close()


@pytest.fixture
def lot(fresh_sim: SimLab, tmp_path: Path) -> Iterator[Factory]:
    """A TofuPilot of its own, sent runs without deliveries; reads from the samples, which others record as well."""
    made = Factory(fresh_sim, SAMPLES, tmp_path / "saved", "[durable]\nenabled = false\n")
    yield made
    made.close()
