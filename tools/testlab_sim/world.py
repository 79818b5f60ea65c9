"""The world behind the three services: one seed, one clock, one set of people, units and stations."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testlab_sim.hardpy.stand import Stand
    from testlab_sim.production.history import History
    from testlab_sim.stbtester.portal import Portal


@dataclass
class Clock:
    """The lab's clock: real UTC time, with the length of simulated work divided by `speed`.

    `speed=20` makes a test that nominally takes 40 s take 2 s. Timestamps stay real, but for `advance`.
    """

    speed: float = 20.0
    ahead: float = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Let time pass at once, to see what expires."""
        self.ahead += seconds

    def real(self, nominal_seconds: float) -> float:
        """How long `nominal_seconds` of lab work takes on this clock, in seconds."""
        return nominal_seconds / self.speed


def iso(seconds: float, suffix: str = "+00:00") -> str:
    """ISO 8601 UTC with microseconds: Stb-tester writes `+00:00`, TofuPilot `Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + suffix


@dataclass(frozen=True)
class Person:
    """Somebody with an account: `login` is the name others see, `token` opens the services."""

    login: str
    name: str
    token: str


YOU = Person("you", "Lab Engineer", "sim-token-you")
COLLEAGUE = Person("colleague", "Second Engineer", "sim-token-colleague")
PEOPLE = (YOU, COLLEAGUE)


def _make_stand() -> Stand:
    from testlab_sim.hardpy.stand import Stand

    return Stand.seeded(time.time())


@dataclass
class World:
    """Everything the services read and change.

    `portal` is Stb-tester's part, `production` the history behind TofuPilot and StandCloud, `stand` HardPy's.
    `base_url` is the server's own root (`http://127.0.0.1:PORT`), used for absolute links in replies.
    """

    portal: Portal
    production: History
    clock: Clock = field(default_factory=Clock)
    seed: int = 7
    base_url: str = "http://127.0.0.1"
    stand: Stand = field(default_factory=_make_stand)

    def person(self, token: str) -> Person | None:
        return next((p for p in PEOPLE if p.token == token), None)
