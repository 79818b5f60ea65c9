"""From a screen to its picture."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from testlab_sim.stbtester.screens.canvas import Canvas
from testlab_sim.stbtester.screens.epg import epg
from testlab_sim.stbtester.screens.menus import home, search, settings
from testlab_sim.stbtester.screens.screen import Screen
from testlab_sim.stbtester.screens.watching import live, no_signal, player, standby

_SCREENS: dict[str, Callable[[Screen], Canvas]] = {
    "home": home,
    "settings": settings,
    "search": search,
    "epg": epg,
    "live": live,
    "player": player,
    "standby": standby,
    "no_signal": no_signal,
}


def draw(screen: Screen) -> Image.Image:
    """The 1280x720 picture of a screen."""
    return _SCREENS[screen.kind](screen).image
