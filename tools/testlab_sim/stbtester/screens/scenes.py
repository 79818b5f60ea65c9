"""Pictures for the broadcasts and films: small painted landscapes, the same each time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from testlab_sim.seeded_random import between
from testlab_sim.stbtester.screens.canvas import SIZE, Colour, gradient, stretch

_WIDE, _HIGH = SIZE


@lru_cache(maxsize=16)
def scene(name: str) -> Image.Image:
    """A full-screen picture. Callers copy it before they draw on it."""
    return _SCENES[name]()


@lru_cache(maxsize=64)
def poster(name: str, width: int, height: int, shift: int) -> Image.Image:
    """A piece of a scene in the shape of a tile; `shift` moves the piece."""
    ratio = width / height
    tall = 640
    wide = min(_WIDE, int(tall * ratio))
    left = (shift * 173) % max(1, _WIDE - wide)
    return ImageOps.fit(scene(name).crop((left, 40, left + wide, 40 + tall)), (width, height))


def _ridge(image: Image.Image, base: int, height: int, colour: Colour, seed: str) -> None:
    """One line of hills, from the left edge to the right."""
    phase = [between(0, 6.28, seed, i) for i in range(4)]
    points: list[tuple[float, float]] = [(0, _HIGH)]
    for x in range(0, _WIDE + 8, 8):
        wave = sum(math.sin(x / (90 + 130 * i) + phase[i]) * (0.18 + 0.12 * i) for i in range(4))
        points.append((x, base - height * wave))
    ImageDraw.Draw(image).polygon([*points, (_WIDE, _HIGH)], colour)


def _glow(image: Image.Image, x: int, y: int, radius: int, colour: Colour) -> None:
    light = ImageOps.invert(Image.radial_gradient("L"))  # black only in the corners: take what the edges have left
    disc = ImageChops.subtract(light, Image.new("L", light.size, 76), 0.7)
    halo = stretch(ImageChops.multiply(disc, disc), (radius * 2, radius * 2))
    image.paste(colour, (x - radius, y - radius), halo)


def _hills() -> Image.Image:
    image = gradient(SIZE, (38, 44, 96), (252, 164, 108))
    _glow(image, 860, 380, 460, (255, 214, 150))
    ImageDraw.Draw(image).ellipse((815, 335, 905, 425), (255, 240, 205))
    for i, colour in enumerate(((116, 84, 124), (78, 62, 106), (46, 46, 84), (22, 28, 54))):
        _ridge(image, 450 + 70 * i, 90 - 8 * i, colour, f"hills{i}")
    return image.filter(ImageFilter.GaussianBlur(1))


def _ocean() -> Image.Image:
    image = gradient(SIZE, (88, 172, 226), (226, 240, 246))
    image.paste(gradient((_WIDE, 330), (24, 112, 158), (6, 42, 80)), (0, 390))
    _glow(image, 320, 180, 420, (255, 255, 240))
    pen = ImageDraw.Draw(image)
    for i in range(150):
        y = int(between(396, 715, "wave", i))
        x, length = int(between(-60, _WIDE, "at", i)), int((y - 360) * between(0.1, 0.5, "long", i))
        pen.line((x, y, x + length, y), (92, 166, 198) if i % 3 else (176, 218, 232), 1 + (y - 390) // 130)
    pen.polygon([(830, 392), (1000, 392), (970, 424), (856, 424)], (28, 34, 48))
    pen.polygon([(905, 250), (905, 386), (815, 386)], (248, 246, 240))
    pen.polygon([(914, 280), (914, 386), (985, 386)], (226, 92, 80))
    return image.filter(ImageFilter.GaussianBlur(1))


def _city() -> Image.Image:
    image = gradient(SIZE, (16, 14, 44), (128, 66, 128))
    _glow(image, 980, 200, 320, (236, 206, 226))
    pen = ImageDraw.Draw(image)
    pen.ellipse((945, 165, 1015, 235), (250, 238, 236))
    for layer, colour in enumerate(((66, 44, 96), (40, 30, 70), (18, 16, 40))):
        x = -20
        while x < _WIDE:
            key = ("block", layer, x)
            width, top = int(between(60, 140, *key, "w")), int(between(240, 420, *key, "h")) + layer * 75
            pen.rectangle((x, top, x + width, _HIGH), colour)
            if layer:
                _windows(pen, x, top, width, layer)
            x += width + int(between(2, 14, *key, "gap"))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _windows(pen: ImageDraw.ImageDraw, x: int, top: int, width: int, layer: int) -> None:
    for row in range(top + 14, _HIGH, 22):
        for column in range(x + 10, x + width - 10, 18):
            if between(0, 1, row, column, layer) < 0.42:
                warm = between(0.6, 1, column, row)
                pen.rectangle((column, row, column + 8, row + 11), (int(255 * warm), int(208 * warm), int(124 * warm)))


def _space() -> Image.Image:
    image = gradient(SIZE, (4, 6, 18), (18, 24, 54))
    _glow(image, 420, 300, 560, (70, 60, 150))
    pen = ImageDraw.Draw(image)
    for i in range(420):
        x, y, light = between(0, _WIDE, "sx", i), between(0, _HIGH, "sy", i), int(between(90, 255, "sl", i))
        size = 1 if i % 9 else 2
        pen.ellipse((x, y, x + size, y + size), (light, light, min(255, light + 20)))
    planet = gradient((520, 520), (238, 142, 84), (92, 34, 38))
    ridges = ImageDraw.Draw(planet)
    for i in range(16):
        y = int(between(0, 520, "band", i))
        ridges.line((0, y, 520, y + 30), (206, 112, 70) if i % 2 else (150, 66, 52), 10)
    mask = Image.new("L", (520, 520), 0)
    ImageDraw.Draw(mask).ellipse((2, 2, 518, 518), 255)
    image.paste(planet.filter(ImageFilter.GaussianBlur(5)), (700, 170), mask.filter(ImageFilter.GaussianBlur(1.5)))
    return image


_SCENES: dict[str, Callable[[], Image.Image]] = {
    "hills": _hills,
    "ocean": _ocean,
    "city": _city,
    "space": _space,
}
