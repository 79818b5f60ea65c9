"""The screens one moves about in: home, settings and the programme guide."""

from __future__ import annotations

from testlab_sim.stbtester.screens import Screen
from testlab_sim.stbtester.screens.canvas import (
    ACCENT,
    CORAL,
    FAINT,
    MIST,
    NIGHT,
    SLATE,
    WHITE,
    Canvas,
    dialog,
    plain,
    status_line,
)
from testlab_sim.stbtester.screens.catalogue import CHANNELS, FILMS, Channel, clock_of, half_hour_of, programme
from testlab_sim.stbtester.screens.scenes import poster, scene


def home(screen: Screen) -> Canvas:
    """A featured film, and films to watch."""
    chosen = screen.selection % 5
    title, picture = FILMS[chosen]
    canvas = Canvas(scene(picture).copy())
    canvas.panel((0, 0, 1280, 720), NIGHT, 0, 0.35)
    canvas.shade(120, 420, 0.97)
    status_line(canvas, screen, "Home")
    canvas.text(64, 188, title, 56, WHITE)
    canvas.text(66, 262, "2026   ·   1 h 52 min   ·   Drama   ·   12", 19, MIST)
    canvas.panel((64, 302, 218, 348), WHITE, 23)
    canvas.polygon([(92, 314), (92, 336), (110, 325)], NIGHT)
    canvas.text(122, 325, "Watch", 21, NIGHT, "lm")
    _films(canvas, chosen, blank=screen.trouble == "missing")
    return canvas


def _films(canvas: Canvas, chosen: int, *, blank: bool) -> None:
    canvas.text(64, 386, "Recommended for you", 20, WHITE)
    for i, (title, picture) in enumerate(FILMS[:5]):
        left = 64 + 234 * i
        box = (left, 420, left + 216, 541)
        if blank and i == 3:
            canvas.panel(box, SLATE, 10)
        else:
            canvas.picture(poster(picture, 216, 121, i), left, 420, 10)
            canvas.text(left + 4, 552, title, 15, WHITE if i == chosen else MIST, "la", 206)
        if i == chosen:
            canvas.outline(box, WHITE, 10)


_SETTINGS = (
    ("Network", "Ethernet, connected"),
    ("Picture", "2160p, 50 Hz, HDR"),
    ("Sound", "HDMI, Dolby Digital"),
    ("Language", "English"),
    ("Subtitles", "Off"),
    ("Parental control", "PIN required for 15 and over"),
    ("Remote control", "Paired, battery good"),
    ("About this box", "Software 2.4.1"),
)


def settings(screen: Screen) -> Canvas:
    """Each setting and its value."""
    canvas = plain()
    status_line(canvas, screen, "Settings")
    chosen = screen.selection % len(_SETTINGS)
    for i, (name, value) in enumerate(_SETTINGS):
        top = 124 + 66 * i
        if i == chosen:
            canvas.panel((56, top, 1224, top + 58), ACCENT, 12)
        canvas.text(84, top + 29, name, 22, WHITE, "lm")
        canvas.text(1196, top + 29, value, 16, WHITE if i == chosen else FAINT, "rm", 310)
    if screen.trouble == "missing":
        dialog(canvas, "Setting not available", "This option is not offered\nby the current software.", "Close")
    return canvas


_LEFT, _TOP, _SLOT, _ROW, _SLOTS = 248, 150, 242, 90, 4


def epg(screen: Screen) -> Canvas:
    """Channels down, two hours across, the present marked."""
    canvas = plain()
    status_line(canvas, screen, "TV guide")
    first = half_hour_of(screen.clock)
    chosen = screen.selection % len(CHANNELS)
    for slot in range(_SLOTS):
        canvas.text(_LEFT + _SLOT * slot + 4, _TOP - 14, clock_of(first + slot), 17, MIST, "lm")
    if screen.trouble != "empty":
        _now_line(canvas, screen, first)
    for row, channel in enumerate(CHANNELS):
        _channel_row(canvas, row, channel, first, row == chosen, empty=screen.trouble == "empty")
    if screen.trouble == "empty":
        canvas.text(732, 440, "No programme information", 30, FAINT, "mm")
        canvas.text(732, 478, "The guide will be updated as soon as it arrives.", 18, FAINT, "mm")
    if screen.trouble == "missing":
        dialog(canvas, "Please wait", "The guide is taking longer than usual\nto load this page.", "Cancel")
    return canvas


def _channel_row(canvas: Canvas, row: int, channel: Channel, first: int, chosen: bool, *, empty: bool) -> None:
    top = _TOP + _ROW * row
    bottom = top + _ROW - 6
    canvas.panel((64, top, _LEFT - 6, bottom), SLATE, 8, 0.55)
    canvas.panel((72, top + 8, 112, bottom - 8), channel.hue, 7)
    canvas.text(92, (top + bottom) // 2, str(channel.number), 20, WHITE, "mm")
    canvas.text(124, (top + bottom) // 2, channel.name, 18, WHITE, "lm", 110)
    if empty:
        canvas.panel((_LEFT, top, 1216, bottom), SLATE, 8, 0.25)
        return
    slot = first
    while slot < first + _SLOTS:
        title, start, length = programme(channel.number, slot)
        end = min(start + length, first + _SLOTS)
        left, right = _LEFT + _SLOT * (slot - first), _LEFT + _SLOT * (end - first) - 6
        lit = chosen and slot == first
        canvas.panel((left, top, right, bottom), ACCENT if lit else SLATE, 8, 1.0 if lit or slot == first else 0.6)
        canvas.text(left + 16, (top + bottom) // 2, title, 18, WHITE, "lm", right - left - 28)
        slot = end


def _now_line(canvas: Canvas, screen: Screen, first: int) -> None:
    minutes = int(screen.clock[3:]) % 30
    x = _LEFT + _SLOT * minutes // 30
    bottom = _TOP + _ROW * len(CHANNELS) - 6
    canvas.line(x, _TOP - 4, x, bottom, CORAL, 2)
    canvas.disc(x, _TOP - 6, 5, CORAL)
