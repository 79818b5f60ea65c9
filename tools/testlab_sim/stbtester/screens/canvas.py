"""Drawing in the house style: smooth corners, one typeface, a small palette, and what several screens share."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from testlab_sim.stbtester.screens import Screen

SIZE = (1280, 720)

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

NIGHT: Colour = (11, 15, 28)
DUSK: Colour = (27, 34, 62)
SLATE: Colour = (38, 46, 74)
ACCENT: Colour = (64, 156, 255)
CORAL: Colour = (255, 107, 94)
WHITE: Colour = (244, 247, 252)
MIST: Colour = (166, 177, 201)
FAINT: Colour = (104, 115, 143)

_SMOOTH = 4


class Canvas:
    """A picture in the making; boxes are (left, top, right, bottom) in pixels."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self._pen = ImageDraw.Draw(image, "RGBA")

    def text(
        self, x: int, y: int, words: str, size: int, colour: Colour = WHITE, anchor: str = "la", width: int = 0
    ) -> None:
        """Write `words`, cut with an ellipsis if they are wider than `width`."""
        font = _font(size)
        if width:
            words = _cut(words, font, width)
        self._pen.text((x, y), words, colour, font, anchor)

    def panel(self, box: Box, colour: Colour, radius: int = 12, opacity: float = 1.0) -> None:
        """A rounded rectangle."""
        width, height = box[2] - box[0], box[3] - box[1]
        if width <= 0 or height <= 0:
            return
        mask = round_corners(width, height, min(radius, width // 2, height // 2))
        if opacity < 1:
            mask = dim(mask, opacity)
        self.image.paste(colour, box, mask)

    def outline(self, box: Box, colour: Colour, radius: int = 12, thickness: int = 4) -> None:
        """A rounded frame around `box`, outside it."""
        t = thickness
        outer = (box[0] - t, box[1] - t, box[2] + t, box[3] + t)
        width, height = outer[2] - outer[0], outer[3] - outer[1]
        ring = round_corners(width, height, radius + t).copy()
        ring.paste(0, (t, t), round_corners(width - 2 * t, height - 2 * t, radius))
        self.image.paste(colour, outer, ring)

    def disc(self, x: int, y: int, radius: int, colour: Colour, opacity: float = 1.0) -> None:
        self.panel((x - radius, y - radius, x + radius, y + radius), colour, radius, opacity)

    def picture(self, image: Image.Image, x: int, y: int, radius: int = 12) -> None:
        """Another picture with rounded corners."""
        self.image.paste(image, (x, y), round_corners(image.width, image.height, radius))

    def polygon(self, points: list[tuple[int, int]], colour: Colour) -> None:
        self._pen.polygon(points, colour)

    def line(self, x1: int, y1: int, x2: int, y2: int, colour: Colour, width: int = 1) -> None:
        self._pen.line((x1, y1, x2, y2), colour, width)

    def shade(self, top: int, bottom: int, strength: float) -> None:
        """Darken from nothing at `top` to `strength` (0 to 1) at `bottom`, and on to the edge in that direction."""
        low, high = min(top, bottom), max(top, bottom)
        ramp = stretch(Image.linear_gradient("L"), (SIZE[0], high - low))
        if top > bottom:
            ramp = ramp.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        mask = Image.new("L", SIZE, 0)
        mask.paste(ramp, (0, low))
        mask.paste(255, (0, high, SIZE[0], SIZE[1]) if top < bottom else (0, 0, SIZE[0], low))
        self.image.paste((4, 6, 12), (0, 0), dim(mask, strength))


def stretch(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at another size, whatever that does to its shape."""
    return image.transform(size, Image.Transform.EXTENT, (0, 0, *image.size), Image.Resampling.BILINEAR)


def dim(mask: Image.Image, strength: float) -> Image.Image:
    """A mask that lets only `strength` (0 to 1) of it through."""
    return Image.blend(Image.new("L", mask.size, 0), mask, strength)


def gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    """A picture that goes from one colour at the top to another at the bottom."""
    ramp = stretch(Image.linear_gradient("L"), size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp)


@lru_cache(maxsize=256)
def round_corners(width: int, height: int, radius: int) -> Image.Image:
    """The mask of a rounded rectangle, smoothed at its corners."""
    mask = Image.new("L", (width, height), 255)
    if not radius:
        return mask
    across = radius * _SMOOTH * 2
    drawn = Image.new("L", (across, across), 0)
    ImageDraw.Draw(drawn).ellipse((0, 0, across - 1, across - 1), 255)
    disc = drawn.reduce(_SMOOTH)
    for right in (0, 1):
        for low in (0, 1):
            corner = disc.crop((right * radius, low * radius, (right + 1) * radius, (low + 1) * radius))
            mask.paste(corner, (right * (width - radius), low * (height - radius)))
    return mask


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _cut(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(words + "…") > width:
        words = words[:-1]
    return words.rstrip() + "…"


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
