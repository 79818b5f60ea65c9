"""The portal of the simulated lab seen from outside: its nodes, two of its users, and trouble on demand."""

from __future__ import annotations

from typing import Any

import httpx2

from testlab_mcp.commands.simlab import SimLab

QUICK = "tests/menu.py::test_that_menu_appears_when_menu_key_is_pressed"
"""Takes less than a second, and passes."""


class SimulatedPortal:
    """`you` is the user whose token the config has, `control` the simulator's own handles."""

    def __init__(self, sim: SimLab) -> None:
        portal = sim.services()["stbtester"]
        self.control = httpx2.Client(base_url=f"{portal['url'].rpartition('/')[0]}/_sim", timeout=10)
        self.you = _person(portal["url"], portal["token"])
        self.colleague = _person(portal["url"], portal["colleague_token"])

    def nodes(self) -> list[dict[str, Any]]:
        return self.you.get("/nodes").json()

    def fault(self, **fault: object) -> None:
        self.control.post("/faults", json={"service": "stbtester", **fault}).raise_for_status()

    def calm(self) -> None:
        self.control.delete("/faults").raise_for_status()

    def advance(self, seconds: float) -> None:
        self.control.post("/clock", json={"advance_seconds": seconds}).raise_for_status()

    def close(self) -> None:
        for client in (self.control, self.you, self.colleague):
            client.close()


def _person(url: str, token: str) -> httpx2.Client:
    return httpx2.Client(base_url=f"{url}/api/v2", headers={"Authorization": f"token {token}"}, timeout=10)
