"""Pictures as files: PNG at full size, JPEG as a thumbnail, the last few kept."""

from __future__ import annotations

import io
from functools import lru_cache

from testlab_sim.stbtester.screens.draw import draw
from testlab_sim.stbtester.screens.screen import Screen

_SHRINK = 4


_drawn = lru_cache(maxsize=4)(draw)
"""A run saves its last screen twice, as screenshot and as thumbnail."""


@lru_cache(maxsize=48)
def encode_png(screen: Screen) -> bytes:
    out = io.BytesIO()
    _drawn(screen).save(out, "PNG", compress_level=1)
    return out.getvalue()


@lru_cache(maxsize=48)
def encode_jpeg(screen: Screen) -> bytes:
    out = io.BytesIO()
    _drawn(screen).reduce(_SHRINK).save(out, "JPEG", quality=85)
    return out.getvalue()
