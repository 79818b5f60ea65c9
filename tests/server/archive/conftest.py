"""The simulated lab with a log of its requests, and archives in front of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import parse_config
from testlab_tools.lab import Lab


class Upstream:
    """The simulated lab's services as they are, and what they were asked for."""

    def __init__(self, sim: SimLab) -> None:
        self.services = sim.services()
        self._root = self.services["tofupilot"]["url"].rpartition("/")[0]
        self._http = httpx2.Client(trust_env=False)

    def requests(self) -> Counter[str]:
        """Requests by service since the last time."""
        found = self._http.get(f"{self._root}/_sim/requests").json()["requests"]
        self._http.delete(f"{self._root}/_sim/requests")
        counts: Counter[str] = Counter()
        for one in found:
            counts[one["service"]] += one["count"]
        return counts

    def fault(self, service: str, **fault: object) -> None:
        """Make a service fail."""
        self._http.post(f"{self._root}/_sim/faults", json={"service": service, **fault}).raise_for_status()

    def heal(self) -> None:
        """End all faults."""
        self._http.delete(f"{self._root}/_sim/faults").raise_for_status()

    def factory(self, method: str, path: str, **request: Any) -> Any:
        """Ask TofuPilot itself."""
        service = self.services["tofupilot"]
        headers = {"Authorization": f"Bearer {service['token']}"}
        reply = self._http.request(method, f"{service['url']}/api/v2/{path}", headers=headers, **request)
        return reply.raise_for_status().json()

    def portal(self, path: str, **params: str) -> Any:
        """Ask Stb-tester itself."""
        service = self.services["stbtester"]
        headers = {"Authorization": f"token {service['token']}"}
        return self._http.get(f"{service['url']}/api/v2/{path}", headers=headers, params=params).json()

    def cloud(self) -> list[dict[str, Any]]:
        """All runs of StandCloud."""
        service = self.services["standcloud"]
        headers = {"X-API-KEY": service["token"]}
        return self._http.get(f"{service['url']}/integration/api/v1/test_run", headers=headers).json()

    def close(self) -> None:
        """End the connections."""
        self._http.close()


@pytest.fixture
def upstream(fresh_sim: SimLab) -> Iterator[Upstream]:
    """A simulated lab of its own."""
    lab = Upstream(fresh_sim)
    yield lab
    lab.close()


@pytest.fixture
def config(fresh_sim: SimLab, tmp_path: Path) -> Callable[..., str]:
    """A config of the simulated lab with an archive of its own."""

    def text(**keys: str) -> str:
        table = "".join(f"{name} = {value}\n" for name, value in keys.items())
        return f"{fresh_sim.config_toml(str(tmp_path))}\n[archive]\npath = '{tmp_path / 'archive'}'\n{table}"

    return text


@pytest.fixture
async def lab(config: Callable[..., str]) -> AsyncIterator[Lab]:
    """All services, with the archive."""
    made = parse_config(config()).lab()
    yield made
    await made.aclose()
