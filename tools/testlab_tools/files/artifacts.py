"""Artifacts of a run: the head to show, or the whole to save; and pictures made small enough for every client."""

from __future__ import annotations

import codecs
import io
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from testlab_tools.capabilities import ArtifactKeeper, Image, KeptFile
from testlab_tools.errors import BadInput, BadReply, NotFound
from testlab_tools.files.folders import sanitize_path
from testlab_tools.files.io import Writer, write_file
from testlab_tools.registry import Picture
from testlab_tools.untrusted import sanitize

LONG_SIDE = 1024
"""Clients refuse or shrink larger images, each at another bound; 1024 px keeps text on a TV screen legible."""

QUALITY = 80
MAX_PIXELS = 36_000_000
"""8K UHDTV has 33 million (ITU-R BT.2020); decoded they take 144 MB. One picture is decoded at a time."""
_ONE_AT_A_TIME = threading.Lock()

_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def prepare_picture(image: Image, what: str, size: str, save_to: Path | None = None) -> Picture:
    """A picture in the size asked for: `full` and `thumbnail` as the service sent it, `model` as a smaller JPEG."""
    kind = detect_media_type(image.data)
    if not kind:
        raise _no_picture(image)
    smaller, facts = _shrink(image)  # also where it is not shown: a damaged picture is none
    if size != "model":
        smaller, facts = Image(image.data, kind), f"{len(image.data)} bytes, as the service sent it"
    saved = f" Saved to {write_file(save_to, image.data)}" if save_to else ""
    return Picture(smaller, f"{what}: {facts}.{saved}")


def detect_media_type(data: bytes) -> str:
    """The type of a picture by its first bytes, whatever its sender says; empty for neither PNG nor JPEG."""
    return next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), "")


def _no_picture(image: Image) -> BadReply:
    return BadReply("", "The screenshot that came is not an image", f"{len(image.data)} bytes", "Call again.")


def _shrink(image: Image) -> tuple[Image, str]:
    # Pillow costs 70 ms to import, which starting the server should not pay.
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with _ONE_AT_A_TIME, Pillow.open(io.BytesIO(image.data), formats=("PNG", "JPEG")) as original:
            width, height = original.size
            if width * height > MAX_PIXELS:
                raise BadReply(
                    "",
                    f"The screenshot that came has {width}x{height} pixels and was not decoded",
                    f"More than {MAX_PIXELS} are taken for an attack",
                    "save_to with size=full keeps it as it came.",
                )
            # Those of a palette cannot be averaged; all others are made small first, which needs no second copy.
            smaller = original.convert("RGB") if original.mode in ("1", "P") else original
            smaller.thumbnail((LONG_SIDE, LONG_SIDE), Pillow.Resampling.BICUBIC)
            smaller = smaller.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        raise _no_picture(image) from None
    out = io.BytesIO()
    smaller.save(out, "JPEG", quality=QUALITY)
    scale = width / smaller.width
    facts = f"{smaller.width}x{smaller.height} px, original {width}x{height}; multiply coordinates by {scale:g}"
    return Image(out.getvalue(), "image/jpeg"), facts


TEXT_CHARS = 16_000
"""Of a text to show: some 5,000 tokens."""

PICTURE_BYTES = 20 * 2**20
"""Larger pictures are only saved: a picture to show is held in memory."""


def find_artifact(files: Sequence[KeptFile], name: str) -> KeptFile:
    """The file of a name, as the service has it or as lists show it.

    Raises:
        NotFound: the run has no such file.
        BadInput: a path that would lead out of the run's own folder.
    """
    found = [f for f in files if f.name == name] or [f for f in files if sanitize(f.name) == name]
    if not found:
        missing = NotFound("The run has no such artifact", f"It has {len(files)}", "Leave name empty to list them.")
        raise missing.naming(name)
    parts = found[0].name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise BadInput("The artifact's name is a path that leads elsewhere", "", "It is not read.")
    return found[0]


def choose_path(save_to: str, name: str) -> str:
    """`save_to`, or, when that ends with a slash, the artifact's own path below it, made safe."""
    return save_to + sanitize_path(name) if save_to.endswith(("/", "\\")) else save_to


async def save_artifact(keeper: ArtifactKeeper, run_id: str, file: KeptFile, out: Writer) -> None:
    """Write a whole artifact. Raises BadReply when its size is not the size in the list."""
    async with keeper.open_artifact(run_id, file.name) as download:
        async for chunk in download.chunks:
            await out.write(chunk)
    if file.size is not None and out.size != file.size:
        raise BadReply(
            keeper.name,
            f"Service {keeper.name} sent {out.size} bytes of an artifact that has {file.size}",
            "Nothing was saved",
            "Call again.",
        )


async def read_picture(chunks: AsyncIterator[bytes], head: bytes) -> Image | None:
    """Read on in a file that begins as a PNG or JPEG image; None when it does not, or is too large to show."""
    kind = detect_media_type(head)
    if not kind:
        return None
    data = bytearray(head)
    async for chunk in chunks:
        data += chunk
        if len(data) > PICTURE_BYTES:
            return None
    return Image(bytes(data), kind)


async def read_head(chunks: AsyncIterator[bytes]) -> bytes:
    """The first bytes, more than are shown of a text."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > 4 * TEXT_CHARS:
            break
    return bytes(head)


def decode_text(head: bytes) -> str | None:
    """The head as text, None unless it is UTF-8 without zero bytes; a character cut at its end is left out."""
    if b"\0" in head:
        return None
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
