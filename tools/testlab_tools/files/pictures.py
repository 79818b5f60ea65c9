"""Pictures, checked, and for a model made small enough for every client."""

from __future__ import annotations

import io
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from testlab_tools.capabilities import Image
from testlab_tools.errors import BadReply
from testlab_tools.files.io import write_file
from testlab_tools.registry import Picture

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

LONG_SIDE = 1280
"""Of a picture for a model: the models' APIs take it unscaled, and a screen of 1280x720 keeps its own coordinates."""

QUALITY = 80
AS_SENT_BYTES = 100_000
"""A JPEG of at most so many, and of LONG_SIDE, is not encoded again."""
MAX_PIXELS = 36_000_000
"""8K UHDTV has 33 million (ITU-R BT.2020); decoded they take 144 MB. So do all pictures that are decoded at once."""

_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class _PixelLimit:
    """Lets threads decode pictures at the same time, of MAX_PIXELS together."""

    def __init__(self) -> None:
        self._left = MAX_PIXELS
        self._more_left = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Generator[None]:
        """Wait for room for `pixels`, at most MAX_PIXELS, and keep it meanwhile."""
        with self._more_left:
            self._more_left.wait_for(lambda: pixels <= self._left)
            self._left -= pixels
        try:
            yield
        finally:
            with self._more_left:
                self._left += pixels
                self._more_left.notify_all()


_LIMIT = _PixelLimit()


def prepare_picture(image: Image, what: str, size: str, save_to: Path | None = None) -> Picture:
    """A picture in the size asked for: `full` and `thumbnail` as the service sent it, `model` as a JPEG of LONG_SIDE.

    Takes milliseconds of a processor: for a thread, which several of them may do at once.

    Raises:
        BadReply: it is none, is damaged, or has more than MAX_PIXELS.
    """
    kind = detect_media_type(image.data)
    if not kind:
        raise _no_picture(image)
    with _open(image) as original:
        if size == "model":
            shown, facts = _shrink(original, image)
        else:
            _check(original)
            shown, facts = Image(image.data, kind), f"{len(image.data)} bytes, as the service sent it"
    saved = f" Saved to {write_file(save_to, image.data)}" if save_to else ""
    return Picture(shown, f"{what}: {facts}.{saved}")


def detect_media_type(data: bytes) -> str:
    """The type of a picture by its first bytes, whatever its sender says; empty for neither PNG nor JPEG."""
    return next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), "")


def _no_picture(image: Image) -> BadReply:
    return BadReply("", "The screenshot that came is not an image", f"{len(image.data)} bytes", "Call again.")


@contextmanager
def _open(image: Image) -> Generator[ImageFile]:
    """A picture of which the header is read, to be decoded; what shows while it is decoded is a BadReply as well."""
    # Pillow costs 70 ms to import, which starting the server should not pay.
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with Pillow.open(io.BytesIO(image.data), formats=("PNG", "JPEG")) as original:
            width, height = original.size
            if width * height > MAX_PIXELS:
                raise BadReply(
                    "",
                    f"The screenshot that came has {width}x{height} pixels and was not decoded",
                    f"More than {MAX_PIXELS} are taken for an attack",
                    "save_to with size=full keeps it as it came.",
                )
            with _LIMIT.hold(width * height):
                yield original
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        raise _no_picture(image) from None


def _check(original: ImageFile) -> None:
    """Decode it to see that it can be: of a JPEG all of its data, at an eighth of its size."""
    original.draft(None, (1, 1))
    original.load()


def _shrink(original: ImageFile, image: Image) -> tuple[Image, str]:
    """A JPEG of at most LONG_SIDE, and how to find its coordinates in the original."""
    from PIL import Image as Pillow

    width, height = original.size
    fits = max(width, height) <= LONG_SIDE and len(image.data) <= AS_SENT_BYTES
    if fits and original.format == "JPEG" and original.mode in ("RGB", "L") and "exif" not in original.info:
        _check(original)
        return Image(image.data, "image/jpeg"), _describe((width, height), (width, height))
    # Those of a palette cannot be averaged; all others are made small first, which needs no second copy.
    smaller = original.convert("RGB") if original.mode in ("1", "P") else original
    if max(width, height) > LONG_SIDE:  # HAMMING is as sharp as BICUBIC there, in two thirds of its time
        smaller.thumbnail((LONG_SIDE, LONG_SIDE), Pillow.Resampling.HAMMING)
    smaller.load()  # `save` alone would decode into a second copy
    out = io.BytesIO()
    (smaller if smaller.mode == "RGB" else smaller.convert("RGB")).save(out, "JPEG", quality=QUALITY)
    return Image(out.getvalue(), "image/jpeg"), _describe(smaller.size, (width, height))


def _describe(shown: tuple[int, int], original: tuple[int, int]) -> str:
    scale = original[0] / shown[0]
    return f"{shown[0]}x{shown[1]} px, original {original[0]}x{original[1]}; multiply coordinates by {scale:g}"
