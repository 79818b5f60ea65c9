"""Pictures for a model: small enough for every client, with the scale said; the original can be kept on disk."""

from __future__ import annotations

import io
from pathlib import Path

from testlab_tools.capabilities import Image
from testlab_tools.errors import BadReply
from testlab_tools.files import write
from testlab_tools.registry import Picture

LONG_SIDE = 1024
"""Clients refuse or shrink larger images, each at another bound; 1024 px keeps text on a TV screen legible."""

QUALITY = 80

_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def shown(image: Image, what: str, size: str, save_to: Path | None = None) -> Picture:
    """The picture in the size asked for: `full` and `thumbnail` as the service sent it, `model` as a smaller JPEG."""
    kept = write(save_to, image.data) if save_to else ""
    if size != "model":
        if not (kind := media_type(image.data)):
            raise _no_picture(image)
        facts = f"{len(image.data)} bytes, as the service sent it"
        return Picture(Image(image.data, kind), _sentence(what, facts, kept))
    smaller, facts = _for_model(image)
    return Picture(smaller, _sentence(what, facts, kept))


def media_type(data: bytes) -> str:
    """What a picture is by its first bytes, whatever its sender says it is; empty for neither PNG nor JPEG."""
    return next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), "")


def _no_picture(image: Image) -> BadReply:
    return BadReply("", "The screenshot that came is not an image", f"{len(image.data)} bytes", "Call again.")


def _for_model(image: Image) -> tuple[Image, str]:
    # Pillow costs 70 ms to import, which starting the server should not pay.
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with Pillow.open(io.BytesIO(image.data), formats=("PNG", "JPEG")) as original:
            width, height = original.size
            smaller = original.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Pillow.DecompressionBombError):
        raise _no_picture(image) from None
    smaller.thumbnail((LONG_SIDE, LONG_SIDE), Pillow.Resampling.BICUBIC)
    out = io.BytesIO()
    smaller.save(out, "JPEG", quality=QUALITY)
    scale = width / smaller.width
    facts = f"{smaller.width}x{smaller.height} px, original {width}x{height}; multiply coordinates by {scale:g}"
    return Image(out.getvalue(), "image/jpeg"), facts


def _sentence(what: str, facts: str, kept: str) -> str:
    return f"{what}: {facts}." + (f" Saved to {kept}" if kept else "")
