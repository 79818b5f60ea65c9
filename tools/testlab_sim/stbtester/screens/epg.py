"""The programme guide: channels down, two hours across, the present marked."""

from __future__ import annotations

from testlab_sim.stbtester.screens.canvas import ACCENT, CORAL, FAINT, MIST, SLATE, WHITE, Canvas
from testlab_sim.stbtester.screens.catalogue import CHANNELS, Channel, clock_of, half_hour_of, programme
from testlab_sim.stbtester.screens.scenes import poster
from testlab_sim.stbtester.screens.screen import Screen
from testlab_sim.stbtester.screens.widgets import dialog, keys, plain, status_line

_LEFT, _TOP, _SLOT, _ROW, _SLOTS = 248, 282, 242, 62, 4


def epg(screen: Screen) -> Canvas:
    canvas = plain()
    status_line(canvas, screen, "TV guide")
    first = half_hour_of(screen.clock)
    chosen = screen.selection % len(CHANNELS)
    _summary(canvas, screen, CHANNELS[chosen], first)
    for slot in range(_SLOTS):
        canvas.text(_LEFT + _SLOT * slot + 4, _TOP - 14, clock_of(first + slot), 17, MIST, "lm")
    if screen.trouble != "empty":
        _now_line(canvas, screen, first)
    for row, channel in enumerate(CHANNELS):
        _row(canvas, row, channel, first, row == chosen, empty=screen.trouble == "empty")
    if screen.trouble == "empty":
        canvas.text(732, 440, "No programme information", 30, FAINT, "mm")
        canvas.text(732, 478, "The guide will be updated as soon as it arrives.", 18, FAINT, "mm")
    keys(canvas, ("OK", "Watch"), ("RED", "Record"), ("BLUE", "Next day"), ("BACK", "Close"))
    if screen.trouble == "missing":
        dialog(canvas, "Please wait", "The guide is taking longer than usual\nto load this page.", "Cancel")
    return canvas


def _summary(canvas: Canvas, screen: Screen, channel: Channel, first: int) -> None:
    empty = screen.trouble == "empty"
    title, start, length = programme(channel.number, first)
    if empty:
        canvas.panel((64, 108, 288, 234), SLATE, 10)
    else:
        canvas.picture(poster(channel.scene, 224, 126, 2), 64, 108, 10)
    canvas.text(312, 112, "No information" if empty else title, 34, FAINT if empty else WHITE)
    canvas.text(
        312, 160, f"{channel.number}  {channel.name}   {clock_of(start)} to {clock_of(start + length)}", 18, MIST
    )
    if not empty:
        canvas.text(312, 192, "A look at the week, with guests in the studio and reports from the road.", 18, MIST)


def _row(canvas: Canvas, row: int, channel: Channel, first: int, chosen: bool, *, empty: bool) -> None:
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
