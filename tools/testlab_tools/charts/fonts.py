"""The fonts of a picture: the one that matplotlib brings, and this machine's for Chinese, Japanese and Korean."""

from __future__ import annotations

from functools import cache
from typing import Any

OWN = "DejaVu Sans"
_FURTHER = (
    *(
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "Noto Sans SC",
        "Noto Sans JP",
        "Source Han Sans SC",
        "WenQuanYi Micro Hei",
    ),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans", "Arial Unicode MS"),
)
_MAX_FURTHER = 3


@cache
def families() -> list[str]:
    """Font families, the first that has a character draws it."""
    from matplotlib.font_manager import fontManager

    installed = {entry.name for entry in fontManager.ttflist}
    return [OWN, *[name for name in _FURTHER if name in installed][:_MAX_FURTHER]]


@cache
def _characters() -> frozenset[int]:
    from matplotlib import font_manager

    fonts: Any = font_manager
    files = [fonts.findfont(fonts.FontProperties(name)) for name in families()]
    return frozenset(code for file in files for code in fonts.get_font(file).get_charmap())


def can_draw(char: str) -> bool:
    """Whether one of the fonts has the character."""
    return ord(char) in _characters()
