"""The lab's clock: real UTC time, with the length of simulated work divided by `speed`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass
class Clock:
    """`speed=20` makes a test that nominally takes 40 s take 2 s. Timestamps stay real, but for `advance`."""

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
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + suffix
