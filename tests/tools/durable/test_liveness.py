"""Whether work is lost: what waits and is not run, for long, and ever longer where a new launch did not help."""

from __future__ import annotations

from testlab_tools.durable.engine import Clock, Liveness


class Hand(Clock):
    """A clock set by hand."""

    now_s = 0.0

    def seconds(self) -> float:
        return self.now_s


def lost_after(liveness: Liveness, clock: Hand, waiting: list[str]) -> int:
    """Seconds until work is told as lost; asked each second, for an hour."""
    for second in range(3600):
        liveness.find_idle(waiting)
        if liveness.has_lost_work():
            return second
        clock.now_s += 1
    return 3600


def test_what_runs_is_not_lost_however_long_it_takes() -> None:
    clock = Hand()
    liveness = Liveness(clock)
    liveness.note_start("a")
    assert lost_after(liveness, clock, ["a"]) == 3600


def test_what_ended_and_still_waits_is_lost_after_seconds() -> None:
    clock = Hand()
    liveness = Liveness(clock)
    liveness.note_start("a")
    liveness.note_end("a")
    assert 5 < lost_after(liveness, clock, ["a"]) < 10


def test_where_a_new_launch_did_not_help_the_next_comes_later() -> None:
    waits: list[int] = []
    for relaunches in range(12):
        clock = Hand()
        waits.append(lost_after(Liveness(clock, relaunches), clock, ["a"]))
    assert waits == sorted(waits)
    assert waits[0] < 10
    assert 1500 < waits[-1] < 2000
