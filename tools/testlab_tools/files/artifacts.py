"""Artifacts of a run: the head to show, or the whole to save."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Sequence

from testlab_tools.capabilities import ArtifactKeeper, Image, KeptFile
from testlab_tools.errors import BadInput, BadReply, NotFound
from testlab_tools.files.folders import sanitize_path
from testlab_tools.files.io import Writer
from testlab_tools.files.pictures import detect_media_type
from testlab_tools.untrusted import sanitize

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
