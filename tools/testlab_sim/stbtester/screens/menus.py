"""The screens one moves about in: home, settings and search."""

from __future__ import annotations

from testlab_sim.stbtester.screens.canvas import ACCENT, CORAL, FAINT, MIST, NIGHT, SLATE, WHITE, Canvas, text_width
from testlab_sim.stbtester.screens.catalogue import CHANNELS, FILMS, half_hour_of, programme
from testlab_sim.stbtester.screens.scenes import poster, scene
from testlab_sim.stbtester.screens.screen import Screen
from testlab_sim.stbtester.screens.widgets import dialog, keys, plain, status_line

_TABS = ("Home", "Guide", "On demand", "Recordings", "Apps")


def home(screen: Screen) -> Canvas:
    """A featured film, what is on now, and films to watch."""
    chosen = screen.selection % 5
    title, picture = FILMS[chosen]
    canvas = Canvas(scene(picture).copy())
    canvas.panel((0, 0, 1280, 720), NIGHT, 0, 0.35)
    canvas.shade(120, 420, 0.97)
    status_line(canvas, screen, "")
    left = 120
    for i, tab in enumerate(_TABS):
        canvas.text(left, 58, tab, 22, WHITE if i == 0 else MIST, "lm")
        left += text_width(tab, 22) + 44
    canvas.panel((120, 78, 120 + text_width("Home", 22), 82), ACCENT, 2)
    canvas.text(64, 188, title, 56, WHITE)
    canvas.text(66, 262, "2026   ·   1 h 52 min   ·   Drama   ·   12", 19, MIST)
    canvas.panel((64, 302, 218, 348), WHITE, 23)
    canvas.polygon([(92, 314), (92, 336), (110, 325)], NIGHT)
    canvas.text(122, 325, "Watch", 21, NIGHT, "lm")
    canvas.panel((234, 302, 378, 348), SLATE, 23, 0.9)
    canvas.text(306, 325, "Details", 21, WHITE, "mm")
    _films(canvas, chosen, blank=screen.trouble == "missing")
    _on_now(canvas, screen)
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


def _on_now(canvas: Canvas, screen: Screen) -> None:
    canvas.text(64, 590, "On now", 20, WHITE)
    for i, channel in enumerate(CHANNELS[:5]):
        left = 64 + 234 * i
        canvas.panel((left, 622, left + 216, 690), SLATE, 10, 0.85)
        canvas.panel((left + 10, 634, left + 54, 678), channel.hue, 8)
        canvas.text(left + 32, 656, str(channel.number), 22, WHITE, "mm")
        canvas.text(left + 66, 634, channel.name, 14, MIST, "la")
        title = programme(channel.number, half_hour_of(screen.clock))[0]
        canvas.text(left + 66, 654, title, 16, WHITE, "la", 142)


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
    """A list on the left, what the chosen row holds on the right."""
    canvas = plain()
    status_line(canvas, screen, "Settings")
    chosen = screen.selection % len(_SETTINGS)
    for i, (name, value) in enumerate(_SETTINGS):
        top = 124 + 66 * i
        if i == chosen:
            canvas.panel((56, top, 640, top + 58), ACCENT, 12)
        canvas.text(84, top + 29, name, 22, WHITE, "lm")
        canvas.text(616, top + 29, value, 16, WHITE if i == chosen else FAINT, "rm", 310)
    _setting(canvas, screen, *_SETTINGS[chosen])
    keys(canvas, ("OK", "Change"), ("BACK", "Home"))
    if screen.trouble == "missing":
        dialog(canvas, "Setting not available", "This option is not offered\nby the current software.", "Close")
    return canvas


def _setting(canvas: Canvas, screen: Screen, name: str, value: str) -> None:
    canvas.panel((680, 124, 1216, 644), SLATE, 18, 0.6)
    canvas.text(720, 160, name, 32, WHITE)
    canvas.text(720, 208, value, 18, MIST)
    canvas.line(720, 246, 1176, 246, FAINT)
    for i, option in enumerate(("Automatic", "Manual", "Restore default")):
        top = 268 + 70 * i
        canvas.disc(736, top + 26, 11, WHITE if i == 0 else FAINT)
        canvas.disc(736, top + 26, 9 if i else 5, SLATE if i else ACCENT)
        canvas.text(764, top + 26, option, 21, WHITE if i == 0 else MIST, "lm")
    canvas.text(720, 600, "Changes take effect at once.", 16, FAINT)


_RESULTS = (("Salt and Harbour", "ocean"), ("Harbour Lives", "ocean"), ("Drift", "ocean"))
_ROWS = ("abcdefg", "hijklmn", "opqrstu", "vwxyz'-", "0123456")


def search(screen: Screen) -> Canvas:
    """A keyboard on the screen and what has been found so far."""
    canvas = plain()
    status_line(canvas, screen, "Search")
    typed = "harbour"[: 2 + screen.selection]
    canvas.panel((64, 118, 604, 174), SLATE, 12)
    canvas.text(88, 146, typed + "|", 26, WHITE, "lm")
    for row, letters in enumerate(_ROWS):
        for column, letter in enumerate(letters):
            left, top = 64 + 78 * column, 200 + 78 * row
            lit = letter == typed[-1]
            canvas.panel((left, top, left + 70, top + 70), ACCENT if lit else SLATE, 10, 1 if lit else 0.7)
            canvas.text(left + 35, top + 35, letter, 26, WHITE, "mm")
    _found(canvas, () if screen.trouble else _RESULTS)
    keys(canvas, ("OK", "Type"), ("PLAY", "Watch"), ("BACK", "Home"))
    return canvas


def _found(canvas: Canvas, results: tuple[tuple[str, str], ...]) -> None:
    canvas.text(680, 146, f"{len(results)} results", 20, MIST if results else CORAL, "lm")
    for i, (title, picture) in enumerate(results):
        top = 200 + 134 * i
        canvas.panel((680, top, 1216, top + 118), SLATE, 12, 0.7)
        canvas.picture(poster(picture, 176, 99, i * 3), 690, top + 9, 8)
        canvas.text(890, top + 26, title, 24, WHITE, "la", 300)
        canvas.text(890, top + 66, ("Film, 2026", "Series, 3 seasons", "Film, 2024")[i], 16, MIST)
    if not results:
        canvas.text(948, 380, "Nothing matches", 26, FAINT, "mm")
