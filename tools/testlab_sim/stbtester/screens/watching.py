"""The screens with a moving picture: live television and the player. And those without one."""

from __future__ import annotations

from PIL import Image

from testlab_sim.stbtester.screens import Screen
from testlab_sim.stbtester.screens.canvas import (
    ACCENT,
    CORAL,
    FAINT,
    MIST,
    SIZE,
    SLATE,
    WHITE,
    Canvas,
    buffering,
    status_line,
)
from testlab_sim.stbtester.screens.catalogue import FILMS, Channel, channel, clock_of, half_hour_of, programme
from testlab_sim.stbtester.screens.scenes import scene


def live(screen: Screen) -> Canvas:
    """The broadcast with its info bar."""
    shown = channel(screen.channel)
    canvas = Canvas(scene(shown.scene).copy())
    canvas.panel((1096, 40, 1216, 76), shown.hue, 8, 0.9)
    canvas.text(1156, 58, shown.name, 19, WHITE, "mm", 110)
    if screen.trouble == "frozen":
        buffering(canvas)
    if screen.trouble != "missing":
        _info_bar(canvas, screen, shown)
    return canvas


def _info_bar(canvas: Canvas, screen: Screen, shown: Channel) -> None:
    now = half_hour_of(screen.clock)
    title, start, length = programme(shown.number, now)
    following = programme(shown.number, start + length)[0]
    canvas.shade(340, 530, 0.9)
    canvas.panel((64, 520, 176, 632), shown.hue, 16)
    canvas.text(120, 576, str(shown.number), 60, WHITE, "mm")
    canvas.text(204, 516, f"{shown.name}   {clock_of(start)} to {clock_of(start + length)}", 19, MIST)
    canvas.text(204, 544, title, 42, WHITE, "la", 700)
    minutes = (now - start) * 30 + int(screen.clock[3:]) % 30
    canvas.panel((204, 608, 904, 616), SLATE, 4)
    canvas.panel((204, 608, 204 + max(8, 700 * minutes // (length * 30)), 616), ACCENT, 4)
    canvas.text(204, 632, f"Next   {following}", 19, MIST)
    canvas.text(1216, 546, screen.clock, 40, WHITE, "rm")


def player(screen: Screen) -> Canvas:
    """A film with its progress bar."""
    title, picture = FILMS[screen.selection % len(FILMS)]
    canvas = Canvas(scene(picture).copy())
    canvas.shade(200, 0, 0.8)
    canvas.shade(460, 660, 0.94)
    status_line(canvas, screen, title)
    total = 112 * 60
    at = total * screen.percent // 100
    canvas.panel((64, 604, 1216, 614), FAINT, 5, 0.8)
    canvas.panel((64, 604, 64 + 1152 * screen.percent // 100, 614), ACCENT, 5)
    canvas.disc(64 + 1152 * screen.percent // 100, 609, 13, WHITE)
    canvas.text(64, 640, _timecode(at), 20, WHITE)
    canvas.text(1216, 640, f"-{_timecode(total - at)}", 20, MIST, "ra")
    if screen.trouble == "frozen":
        buffering(canvas)
    if screen.trouble == "missing":
        canvas.panel((832, 96, 1216, 150), CORAL, 12, 0.92)
        canvas.text(1024, 123, "Playback problem (PLR-2104)", 19, WHITE, "mm")
    return canvas


def _timecode(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def standby(screen: Screen) -> Canvas:
    """Nearly black: the clock and a red light."""
    canvas = Canvas(Image.new("RGB", SIZE, (2, 3, 6)))
    canvas.text(640, 340, screen.clock, 150, (58, 66, 86), "mm")
    canvas.text(640, 452, screen.day, 24, (44, 50, 66), "mm")
    canvas.disc(640, 640, 6, CORAL)
    return canvas


def no_signal(screen: Screen) -> Canvas:
    """What the capture card shows when nothing comes over HDMI."""
    canvas = Canvas(Image.new("RGB", SIZE, (8, 10, 14)))
    canvas.panel((540, 226, 740, 352), (40, 46, 58), 14)
    canvas.panel((550, 236, 730, 342), (14, 17, 23), 8)
    canvas.panel((610, 352, 670, 366), (40, 46, 58), 2)
    canvas.panel((580, 366, 700, 374), (40, 46, 58), 4)
    canvas.line(616, 264, 664, 312, CORAL, 6)
    canvas.line(664, 264, 616, 312, CORAL, 6)
    canvas.text(640, 428, "No signal", 44, WHITE, "mm")
    canvas.text(640, 480, "HDMI 1: check the cable between the device and this node", 20, FAINT, "mm")
    return canvas
