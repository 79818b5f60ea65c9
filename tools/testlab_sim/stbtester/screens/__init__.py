"""What the devices under test show: a television's user interface as plain data, drawn at 1280x720 when somebody looks.
The same data draws the same picture."""

from __future__ import annotations

import time
from dataclasses import dataclass

from testlab_sim.seeded_random import chance
from testlab_sim.stbtester.nodes import CHANNELS, Remote
from testlab_sim.stbtester.test_pack import Failure


@dataclass(frozen=True, slots=True)
class Screen:
    """`kind` is home, epg, live, settings, player, search, standby or no_signal; `percent` is how far a playback is.

    `trouble` is the short text of what went wrong on screen: an empty guide, a frozen picture, a dialog; "" if nothing.
    """

    kind: str
    clock: str
    day: str
    selection: int = 0
    channel: int = 1
    percent: int = 30
    trouble: str = ""


def screen_of(kind: str, key: str, now: float, progress: float, failure: Failure | None) -> Screen:
    """The screen of a test run `progress` (0 to 1) of the way through; `key` decides channel and starting row."""
    if failure is not None and failure.message == "No video":
        kind = "no_signal"
    step = int(progress * 5)
    return Screen(
        kind=kind,
        clock=_clock(now),
        day=_day(now),
        selection=int(chance(key, "selection") * 3) + step,
        channel=1 + (int(chance(key, "channel") * CHANNELS) + step) % CHANNELS,
        percent=int(min(99, 8 + 80 * progress * (0.4 + 0.6 * chance(key, "percent")))),
        trouble=_trouble(kind, failure),
    )


def screen_of_remote(remote: Remote, now: float) -> Screen:
    """The screen of an idle device: what the last keys of the remote control left there."""
    return Screen(remote.screen, _clock(now), _day(now), remote.selection, remote.channel)


def _trouble(kind: str, failure: Failure | None) -> str:
    if failure is None or kind in ("no_signal", "standby"):
        return ""
    if failure.message == "EPG is empty":
        return "empty"
    if "motion" in failure.message:
        return "frozen"
    return "missing"


def _clock(now: float) -> str:
    return time.strftime("%H:%M", time.gmtime(now))


def _day(now: float) -> str:
    return time.strftime("%A %d %B", time.gmtime(now))


def png(screen: Screen) -> bytes:
    """The screenshot, lossless, 1280x720. Pillow is slow to load."""
    from testlab_sim.stbtester.screens.encode import encode_png

    return encode_png(screen)


def jpeg(screen: Screen) -> bytes:
    """The thumbnail, 320x180."""
    from testlab_sim.stbtester.screens.encode import encode_jpeg

    return encode_jpeg(screen)
