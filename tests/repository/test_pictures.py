"""The pictures of README and docs/: small, shown, and fetching nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from repository.pictures import draw_terminal, draw_wall

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "docs" / "pictures").iterdir())


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_small_and_shown(picture: Path) -> None:
    assert picture.stat().st_size < 200_000
    pages = (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    assert any(f"pictures/{picture.name})" in page.read_text(encoding="utf-8") for page in pages)


def test_a_terminal_keeps_its_colours_and_fetches_nothing() -> None:
    drawn = draw_terminal("\x1b[31mfail\x1b[0m rail_5v \x1b[32mpass\x1b[0m\n")
    assert {"#ff6b5e", "#48c774"} <= set(re.findall(r"fill: (#\w+)", drawn))
    assert "url(http" not in drawn
    assert "@font-face" not in drawn


def test_the_wall_shows_every_node_it_has_room_for() -> None:
    wall = draw_wall()
    assert wall.size == (1264, 841)
    assert len(wall.getcolors(2_000_000) or ()) > 10_000
