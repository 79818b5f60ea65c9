"""Pictures: small enough for a model, with what is needed to map its coordinates back."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image as Pillow

from testlab_tools.capabilities import Image
from testlab_tools.errors import BadInput, BadReply
from testlab_tools.pictures import LONG_SIDE, shown
from testlab_tools.registry import Picture


def png(width: int, height: int, mode: str = "RGB") -> Image:
    out = io.BytesIO()
    Pillow.new(mode, (width, height)).save(out, "PNG")
    return Image(out.getvalue(), "image/png")


def size_of(picture: Picture) -> tuple[str | None, tuple[int, int]]:
    with Pillow.open(io.BytesIO(picture.image.data)) as opened:
        return opened.format, opened.size


@pytest.mark.parametrize(
    ("width", "height", "shown_as", "scale"),
    [
        (1920, 1080, (1024, 576), "1.875"),
        (1280, 720, (1024, 576), "1.25"),
        (3840, 2160, (1024, 576), "3.75"),
        (1080, 1920, (576, 1024), "1.875"),
        (640, 360, (640, 360), "1"),
        (1, 1, (1, 1), "1"),
    ],
)
def test_a_models_picture_fits_and_says_its_scale(
    width: int, height: int, shown_as: tuple[int, int], scale: str
) -> None:
    picture = shown(png(width, height), "Screen of portal:rack-1 now", "model")

    assert size_of(picture) == ("JPEG", shown_as)
    assert picture.image.media_type == "image/jpeg"
    assert max(shown_as) <= LONG_SIDE
    assert picture.facts == (
        f"Screen of portal:rack-1 now: {shown_as[0]}x{shown_as[1]} px, original {width}x{height}; "
        f"multiply coordinates by {scale}."
    )


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1", "LA", "I;16"])
def test_pictures_of_every_colour_mode_are_shown(mode: str) -> None:
    assert size_of(shown(png(100, 50, mode), "Screen", "model")) == ("JPEG", (100, 50))


@pytest.mark.parametrize("size", ["full", "thumbnail"])
def test_other_sizes_are_the_bytes_the_service_sent(size: str) -> None:
    image = png(1920, 1080)
    picture = shown(image, "Screen", size)

    assert picture.image == image
    assert picture.facts == f"Screen: {len(image.data)} bytes, as the service sent it."


def test_the_original_is_kept_whatever_is_shown(tmp_path: Path) -> None:
    image = png(1920, 1080)
    picture = shown(image, "Screen", "model", tmp_path / "screen.png")

    assert (tmp_path / "screen.png").read_bytes() == image.data
    assert picture.facts.endswith(f"Saved to {tmp_path / 'screen.png'}")


def test_a_picture_that_cannot_be_kept_is_an_error_and_not_shown_as_if_it_were(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(BadInput, match="cannot be saved"):
        shown(png(10, 10), "Screen", "model", tmp_path / "taken" / "screen.png")


def _gif() -> bytes:
    out = io.BytesIO()
    Pillow.new("P", (10, 10)).save(out, "GIF")
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [b"", b"<html>offline</html>", png(50, 50).data[:60], b"\x89PNG\r\n\x1a\n" + b"\0" * 40, _gif()]
)
def test_what_is_not_an_image_is_an_error_without_its_text(data: bytes) -> None:
    with pytest.raises(BadReply, match="not an image") as error:
        shown(Image(data, "image/png"), "Screen", "model")

    assert "offline" not in str(error.value)
    assert f"{len(data)} bytes" in str(error.value)


def test_a_damaged_image_is_shown_or_refused_but_never_crashes() -> None:
    whole = png(40, 30).data
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        try:
            assert shown(Image(damaged, "image/png"), "Screen", "model").facts
        except BadReply:
            continue
