"""What is on: channels, their programmes and the films on demand. All invented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """`scene` names the picture it shows; programmes follow each other every half hour or hour, round the day."""

    number: int
    name: str
    scene: str
    hue: tuple[int, int, int]
    programmes: tuple[str, ...]


_PROGRAMMES = (
    ("Morning Light", "The Long Valley", "Country Kitchen", "Hills at Dusk", "Late News"),
    ("Deep Water", "Harbour Lives", "Quiz Hour", "Islands of the North", "Tides"),
    ("Match Day Live", "Extra Time", "Cycling: Stage 9", "Talking Tactics"),
    ("City Nights", "Rooftops", "Drive", "The Interview", "Midnight Line"),
    ("Headlines", "Business Today", "World Report", "Weather", "The Paper"),
    ("Red Planet Diary", "Moonrise", "How It Flies", "Signals", "Far Side"),
)

CHANNELS = (
    Channel(1, "One", "hills", (230, 82, 76), _PROGRAMMES[0]),
    Channel(2, "Two", "ocean", (64, 156, 255), _PROGRAMMES[1]),
    Channel(3, "Sport 1", "hills", (54, 190, 120), _PROGRAMMES[2]),
    Channel(4, "Metro", "city", (168, 110, 240), _PROGRAMMES[3]),
    Channel(5, "News 24", "city", (240, 170, 60), _PROGRAMMES[4]),
    Channel(6, "Orbit", "space", (70, 200, 210), _PROGRAMMES[5]),
)

FILMS = (
    ("The Lighthouse Keeper", "hills"),
    ("Below Zero", "space"),
    ("Salt and Harbour", "ocean"),
    ("Last Tram Home", "city"),
    ("Ninety Minutes", "hills"),
    ("Breaking Point", "space"),
    ("Northern Line", "city"),
    ("Drift", "ocean"),
)


def channel(number: int) -> Channel:
    return CHANNELS[(number - 1) % len(CHANNELS)]


def programme(number: int, half_hour: int) -> tuple[str, int, int]:
    """(title, first half hour of the day, how many half hours) of what a channel shows in a half hour of the day."""
    shown = channel(number)
    lengths = (2, 1, 2, 3, 1)
    start = 0
    index = shown.number
    while True:
        length = lengths[index % len(lengths)]
        if start + length > half_hour:
            return shown.programmes[index % len(shown.programmes)], start, length
        start += length
        index += 1


def half_hour_of(clock: str) -> int:
    """The half hour of the day, 0 to 47, that a time like `20:41` falls in."""
    hours, minutes = clock.split(":")
    return int(hours) * 2 + int(minutes) // 30


def clock_of(half_hour: int) -> str:
    return f"{half_hour // 2 % 24:02d}:{half_hour % 2 * 30:02d}"
