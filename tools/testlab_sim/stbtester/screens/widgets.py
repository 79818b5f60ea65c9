"""What several screens share: the background, the status line, a dialog, the frozen-picture mark."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image

from testlab_sim.stbtester.screens.canvas import (
    ACCENT,
    CORAL,
    DUSK,
    FAINT,
    MIST,
    NIGHT,
    SIZE,
    SLATE,
    WHITE,
    Canvas,
    gradient,
)
from testlab_sim.stbtester.screens.screen import Screen


@lru_cache(maxsize=1)
def _background() -> Image.Image:
    return gradient(SIZE, DUSK, NIGHT)


def plain() -> Canvas:
    """The empty background of the menus."""
    return Canvas(_background().copy())


def status_line(canvas: Canvas, screen: Screen, title: str) -> None:
    """The product's mark and the screen's title on the left, the time on the right."""
    canvas.disc(74, 58, 15, ACCENT)
    canvas.disc(86, 58, 9, WHITE)
    canvas.text(112, 58, title, 30, WHITE, "lm")
    canvas.text(1216, 50, screen.clock, 28, WHITE, "rm")
    canvas.text(1216, 78, screen.day, 15, MIST, "rm")


def dialog(canvas: Canvas, title: str, text: str, button: str) -> None:
    """A message over a darkened screen."""
    canvas.panel((0, 0, *SIZE), NIGHT, 0, 0.66)
    canvas.panel((360, 232, 920, 488), SLATE, 18)
    canvas.disc(420, 292, 24, CORAL)
    canvas.text(420, 292, "!", 32, WHITE, "mm")
    canvas.text(462, 292, title, 28, WHITE, "lm", 430)
    for i, line in enumerate(text.split("\n")):
        canvas.text(400, 340 + 28 * i, line, 19, MIST, "la", 490)
    canvas.panel((740, 418, 884, 462), ACCENT, 22)
    canvas.text(812, 440, button, 19, WHITE, "mm")


def buffering(canvas: Canvas) -> None:
    """The ring of dots over a picture that has stopped."""
    canvas.panel((560, 280, 720, 440), NIGHT, 20, 0.72)
    ring = ((0, -40), (28, -28), (40, 0), (28, 28), (0, 40), (-28, 28), (-40, 0), (-28, -28))
    for i, (x, y) in enumerate(ring):
        canvas.disc(640 + x, 360 + y, 4 + i // 2, WHITE, 0.25 + 0.1 * i)


def keys(canvas: Canvas, *hints: tuple[str, str]) -> None:
    """The line at the bottom that says what the keys do here."""
    x = 64
    for key, meaning in hints:
        width = 26 + 9 * len(key)
        canvas.panel((x, 672, x + width, 698), SLATE, 8)
        canvas.text(x + width // 2, 685, key, 14, WHITE, "mm")
        canvas.text(x + width + 10, 685, meaning, 15, FAINT, "lm")
        x += width + 30 + 9 * len(meaning)
