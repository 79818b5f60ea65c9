"""A screen as a file: drawn, then PNG at full size or JPEG as a thumbnail; the last few are kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

from PIL import Image

from testlab_sim.stbtester.screens import Screen
from testlab_sim.stbtester.screens.canvas import Canvas
from testlab_sim.stbtester.screens.menus import epg, home, settings
from testlab_sim.stbtester.screens.watching import live, no_signal, player, standby

_SHRINK = 4
_SCREENS: dict[str, Callable[[Screen], Canvas]] = {
    "home": home,
    "settings": settings,
    "search": home,
    "epg": epg,
    "live": live,
    "player": player,
    "standby": standby,
    "no_signal": no_signal,
}


@lru_cache(maxsize=4)
def _draw(screen: Screen) -> Image.Image:
    """The 1280x720 picture; a run saves its last screen twice, as screenshot and as thumbnail."""
    return _SCREENS[screen.kind](screen).image


@lru_cache(maxsize=48)
def encode_png(screen: Screen) -> bytes:
    """The screenshot."""
    out = io.BytesIO()
    _draw(screen).save(out, "PNG", compress_level=1)
    return out.getvalue()


@lru_cache(maxsize=48)
def encode_jpeg(screen: Screen) -> bytes:
    """The thumbnail."""
    out = io.BytesIO()
    _draw(screen).reduce(_SHRINK).save(out, "JPEG", quality=85)
    return out.getvalue()
