"""Pictures: small enough for a model, with what is needed to map its coordinates back."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image as Pillow

from testlab_tools.capabilities import Image
from testlab_tools.errors import BadInput, BadReply
from testlab_tools.files.artifacts import LONG_SIDE, prepare_picture
from testlab_tools.registry import Picture


def png(width: int, height: int, mode: str = "RGB") -> Image:
    out = io.BytesIO()
    Pillow.new(mode, (width, height)).save(out, "PNG")
    return Image(out.getvalue(), "image/png")


def blank(width: int, height: int) -> Image:
    """A black PNG of 1 bit a pixel, made without its pixels: 20 KB of it may be 144 million."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(((width + 7) // 8 + 1) * height), 9)
    return Image(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""), "image/png"
    )


@pytest.mark.parametrize(("width", "height"), [(6001, 6000), (9000, 9000), (36_000_001, 1), (20_000, 20_000)])
def test_a_picture_of_more_pixels_than_any_screen_is_not_decoded(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: object) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(BadReply, match=r"not decoded|not an image"):
        prepare_picture(blank(width, height), "Screen of a", "model")


def test_the_largest_screen_there_is_can_be_shown() -> None:
    assert size_of(prepare_picture(blank(7680, 4320), "Screen of a", "model")) == ("JPEG", (1024, 576))


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
    picture = prepare_picture(png(width, height), "Screen of portal:rack-1 now", "model")

    assert size_of(picture) == ("JPEG", shown_as)
    assert picture.image.media_type == "image/jpeg"
    assert max(shown_as) <= LONG_SIDE
    assert picture.facts == (
        f"Screen of portal:rack-1 now: {shown_as[0]}x{shown_as[1]} px, original {width}x{height}; "
        f"multiply coordinates by {scale}."
    )


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1", "LA", "I;16"])
def test_pictures_of_every_colour_mode_are_shown(mode: str) -> None:
    assert size_of(prepare_picture(png(100, 50, mode), "Screen", "model")) == ("JPEG", (100, 50))


@pytest.mark.parametrize("size", ["full", "thumbnail"])
def test_other_sizes_are_the_bytes_the_service_sent(size: str) -> None:
    image = png(1920, 1080)
    picture = prepare_picture(image, "Screen", size)

    assert picture.image == image
    assert picture.facts == f"Screen: {len(image.data)} bytes, as the service sent it."


def test_the_original_is_kept_whatever_is_shown(tmp_path: Path) -> None:
    image = png(1920, 1080)
    picture = prepare_picture(image, "Screen", "model", tmp_path / "screen.png")

    assert (tmp_path / "screen.png").read_bytes() == image.data
    assert picture.facts.endswith(f"Saved to {tmp_path / 'screen.png'}")


def test_a_picture_that_cannot_be_kept_is_an_error_and_not_shown_as_if_it_were(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(BadInput, match="cannot be saved"):
        prepare_picture(png(10, 10), "Screen", "model", tmp_path / "taken" / "screen.png")


def _gif() -> bytes:
    out = io.BytesIO()
    Pillow.new("P", (10, 10)).save(out, "GIF")
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [b"", b"<html>offline</html>", png(50, 50).data[:60], b"\x89PNG\r\n\x1a\n" + b"\0" * 40, _gif()]
)
def test_what_is_not_an_image_is_an_error_without_its_text(data: bytes) -> None:
    with pytest.raises(BadReply, match="not an image") as error:
        prepare_picture(Image(data, "image/png"), "Screen", "model")

    assert "offline" not in str(error.value)
    assert f"{len(data)} bytes" in str(error.value)


def test_a_damaged_image_is_shown_or_refused_but_never_crashes() -> None:
    whole = png(40, 30).data
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        try:
            assert prepare_picture(Image(damaged, "image/png"), "Screen", "model").facts
        except BadReply:
            continue
