"""What the devices under test show: a television's user interface, drawn at 1280x720 when somebody looks."""

from __future__ import annotations

from testlab_sim.stbtester.screens.screen import Screen, screen_of, screen_of_remote

__all__ = ["Screen", "jpeg", "png", "screen_of", "screen_of_remote"]


def png(screen: Screen) -> bytes:
    """The screenshot, lossless, 1280x720."""
    from testlab_sim.stbtester.screens.encode import encode_png

    return encode_png(screen)


def jpeg(screen: Screen) -> bytes:
    """The thumbnail, 320x180."""
    from testlab_sim.stbtester.screens.encode import encode_jpeg

    return encode_jpeg(screen)
