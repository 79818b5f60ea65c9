"""A run's artifact: its head to show, or the whole on its way to disk."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Sequence

from testlab_tools.capabilities import ArtifactKeeper, Image, KeptFile
from testlab_tools.errors import BadInput, BadReply, NotFound
from testlab_tools.files import safe_path
from testlab_tools.pictures import media_type
from testlab_tools.untrusted import plain
from testlab_tools.writing import Writer

TEXT_CHARS = 16_000
"""What is shown of a text: some 5,000 tokens."""

PICTURE_BYTES = 20 * 2**20
"""Larger pictures are only saved: one to show is held in memory."""


def named(files: Sequence[KeptFile], name: str) -> KeptFile:
    """The file of that name, as it is or as lists show it.

    Raises:
        NotFound: the run keeps no such file.
        BadInput: a path that would lead out of the run's own folder.
    """
    found = [f for f in files if f.name == name] or [f for f in files if plain(f.name) == name]
    if not found:
        raise NotFound("The run has no such artifact", f"It has {len(files)}", "Leave name empty to list them.")
    parts = found[0].name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise BadInput("The artifact's name is a path that leads elsewhere", "", "It is not read.")
    return found[0]


def place(save_to: str, name: str) -> str:
    """Where to save: `save_to`, or, when it ends with a slash, the artifact's own path below it, made safe."""
    return save_to + safe_path(name) if save_to.endswith(("/", "\\")) else save_to


async def saved(keeper: ArtifactKeeper, run_id: str, file: KeptFile, out: Writer) -> None:
    """Write the whole of a file. Raises BadReply when another number of bytes came than the list says."""
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


async def picture(chunks: AsyncIterator[bytes], head: bytes) -> Image | None:
    """The rest of a file that begins as a PNG or JPEG image; None when it does not, or is too large to show."""
    kind = media_type(head)
    if not kind:
        return None
    data = bytearray(head)
    async for chunk in chunks:
        data += chunk
        if len(data) > PICTURE_BYTES:
            return None
    return Image(bytes(data), kind)


async def head_of(chunks: AsyncIterator[bytes]) -> bytes:
    """The first bytes: more than the text of them that is shown."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > 4 * TEXT_CHARS:
            break
    return bytes(head)


def text_of(head: bytes) -> str | None:
    """The head as text, if that is what it is: UTF-8 without zero bytes; a character cut at its end is left out."""
    if b"\0" in head:
        return None
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
