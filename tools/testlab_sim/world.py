"""The world behind the three services: one seed, one clock, one set of people, units and stations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testlab_sim.clock import Clock

if TYPE_CHECKING:
    from testlab_sim.production.history import History
    from testlab_sim.stbtester.portal import Portal


@dataclass(frozen=True)
class Person:
    """Somebody with an account: `login` is the name others see, `token` opens the services."""

    login: str
    name: str
    token: str


YOU = Person("you", "Lab Engineer", "sim-token-you")
COLLEAGUE = Person("colleague", "Second Engineer", "sim-token-colleague")
PEOPLE = (YOU, COLLEAGUE)


@dataclass
class World:
    """Everything the services read and change.

    `portal` is Stb-tester's part, `production` the history behind TofuPilot and StandCloud.
    `base_url` is the server's own root (`http://127.0.0.1:PORT`), used for absolute links in replies.
    """

    portal: Portal
    production: History
    clock: Clock = field(default_factory=Clock)
    seed: int = 7
    base_url: str = "http://127.0.0.1"

    def person(self, token: str) -> Person | None:
        return next((p for p in PEOPLE if p.token == token), None)
