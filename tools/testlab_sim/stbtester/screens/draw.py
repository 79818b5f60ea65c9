from __future__ import annotations

from PIL import Image, ImageDraw

from testlab_sim.stbtester.screens.screen import Screen


def draw(screen: Screen) -> Image.Image:
    image = Image.new("RGB", (1280, 720), (12, 18, 32))
    ImageDraw.Draw(image).text((80, 80), f"{screen.kind} {screen.clock}", fill="white")
    return image
