"""Pictures: small enough for a model, with what is needed to map its coordinates back."""

from __future__ import annotations

import io
import math
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageChops
from PIL.ImageFile import ImageFile

from testlab_sim.stbtester.screens import Screen
from testlab_sim.stbtester.screens import png as render_png
from testlab_tools.capabilities import Image
from testlab_tools.errors import BadInput, BadReply
from testlab_tools.files.pictures import LONG_SIDE, MAX_PIXELS, prepare_picture
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
    assert size_of(prepare_picture(blank(7680, 4320), "Screen of a", "model")) == ("JPEG", (1280, 720))


def size_of(picture: Picture) -> tuple[str | None, tuple[int, int]]:
    with Pillow.open(io.BytesIO(picture.image.data)) as opened:
        return opened.format, opened.size


@pytest.mark.parametrize(
    ("width", "height", "shown_as", "scale"),
    [
        (1920, 1080, (1280, 720), "1.5"),
        (1280, 720, (1280, 720), "1"),
        (3840, 2160, (1280, 720), "3"),
        (1080, 1920, (720, 1280), "1.5"),
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


def jpeg(width: int, height: int, mode: str = "RGB", **options: object) -> Image:
    out = io.BytesIO()
    Pillow.effect_noise((width, height), 60).convert(mode).save(out, "JPEG", **options)
    return Image(out.getvalue(), "image/jpeg")


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_small_jpeg_goes_through_as_it_came(mode: str) -> None:
    image = jpeg(320, 180, mode)
    picture = prepare_picture(image, "Screen", "model")

    assert picture.image == image
    assert picture.facts == "Screen: 320x180 px, original 320x180; multiply coordinates by 1."


@pytest.mark.parametrize(
    "image", [jpeg(100, 50, "CMYK"), jpeg(100, 50, exif=Pillow.Exif()), jpeg(1280, 720, quality=95)]
)
def test_a_jpeg_of_other_colours_with_an_orientation_or_of_many_bytes_is_encoded_again(image: Image) -> None:
    shown = prepare_picture(image, "Screen", "model").image

    assert shown.data != image.data
    with Pillow.open(io.BytesIO(shown.data)) as opened:
        assert (opened.mode, "exif" in opened.info) == ("RGB", False)


@pytest.mark.parametrize("size", ["model", "full", "thumbnail"])
def test_a_jpeg_without_its_end_is_refused_in_every_size(size: str) -> None:
    data = jpeg(320, 180).data

    with pytest.raises(BadReply, match="not an image"):
        prepare_picture(Image(data[: len(data) // 2], "image/jpeg"), "Screen", size)


def test_a_screen_of_1280_pixels_is_as_good_as_it_was_before_it_became_a_jpeg() -> None:
    screen = render_png(Screen("home", "20:15", "Friday 20 November"))
    shown = prepare_picture(Image(screen, "image/png"), "Screen", "model").image

    with Pillow.open(io.BytesIO(screen)) as sent, Pillow.open(io.BytesIO(shown.data)) as seen:
        differ = ImageChops.difference(sent.convert("RGB"), seen).histogram()
    squares = sum(count * (at % 256) ** 2 for at, count in enumerate(differ))
    assert 10 * math.log10(255**2 * sum(differ) / squares) > 38, "dB; scaled to 1024 px and back it has 33"


def test_pictures_are_decoded_at_once_but_no_more_pixels_than_the_largest_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load, lock, both = ImageFile.load, threading.Lock(), threading.Barrier(2, timeout=10)
    decoding = peak = 0

    def counted(self: ImageFile) -> object:
        nonlocal decoding, peak
        pixels = self.width * self.height
        with lock:
            decoding += pixels
            peak = max(peak, decoding)
        if pixels < MAX_PIXELS / 2:
            both.wait()
        try:
            return load(self)
        finally:
            with lock:
                decoding -= pixels

    monkeypatch.setattr(ImageFile, "load", counted)
    for side, least in ((640, 2 * 640 * 640), (5000, 5000 * 5000)):
        peak = 0
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda image: prepare_picture(image, "Screen", "full"), [blank(side, side)] * 2))
        assert least <= peak <= MAX_PIXELS


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
