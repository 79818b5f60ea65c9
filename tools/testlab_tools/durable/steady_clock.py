"""How long ago something was, whatever is done to the clock."""

from __future__ import annotations

from testlab_tools.durable.engine import Clock

MAX_SEEN = 10_000


class SteadyClock:
    """How long ago something was: by the time of day when that is first asked, and from then on by what has passed.
    Setting the clock moves no deadline, and one that was wrong at the start is wrong only for what was seen by it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, float], float] = {}

    def now(self) -> float:
        """The time of day, in seconds since 1970, UTC."""
        return self._clock.now().timestamp()

    def seconds(self) -> float:
        """Seconds since some moment, never set back."""
        return self._clock.seconds()

    def age(self, of: str, moment: float) -> float:
        """Seconds since the time of day `moment`, which was written of something, by its id."""
        if (of, moment) not in self._seen:
            if len(self._seen) >= MAX_SEEN:
                del self._seen[next(iter(self._seen))]
            self._seen[of, moment] = self.seconds() - max(0.0, self.now() - moment)
        return self.seconds() - self._seen[of, moment]
