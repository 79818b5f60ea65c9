"""A file written as it comes: off the event loop, never over another, and there only when it is whole."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import BinaryIO

from testlab_tools.errors import BadInput

_BUFFERED = 2**20


class Writer:
    """Writes beside `path`, and puts the file there at the end; when anything goes wrong, nothing is left.

    >>> async with Writer(path) as out:
    ...     await out.write(chunk)

    Raises:
        BadInput: there is a file already, or the system refuses to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._buffer = bytearray()
        self._part = path.with_name(f".{token_hex(8)}.part")
        self._file: BinaryIO | None = None

    async def __aenter__(self) -> Writer:
        try:
            if self.path.exists() or self.path.is_symlink():
                raise taken()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("xb", buffering=0)
        except OSError as error:
            raise refused(error) from None
        return self

    async def write(self, data: bytes) -> None:
        """Add to the file."""
        self.size += len(data)
        self._buffer += data
        if len(self._buffer) >= _BUFFERED:
            await self._flush()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self._flush()
                self._publish()
        finally:
            if self._file is not None:
                self._file.close()
            self._part.unlink(missing_ok=True)

    async def _flush(self) -> None:
        assert self._file is not None, "use it as a context manager"
        data, self._buffer = self._buffer, bytearray()
        try:
            await asyncio.to_thread(_write_all, self._file, data)
        except OSError as error:
            raise refused(error) from None

    def _publish(self) -> None:
        """A link, unlike a rename, never replaces a file that has come up meanwhile; not every file system has them."""
        assert self._file is not None, "use it as a context manager"
        self._file.close()
        try:
            os.link(self._part, self.path)
        except FileExistsError:
            raise taken() from None
        except OSError:
            self._rename()

    def _rename(self) -> None:
        try:
            if self.path.exists():
                raise taken()
            self._part.replace(self.path)
        except OSError as error:
            raise refused(error) from None


def refused(error: OSError) -> BadInput:
    """What to say when the system does not let a file be written."""
    reason = error.strerror or type(error).__name__
    return BadInput(f"The file cannot be saved there ({reason})", "", "Give another save_to.")


def taken() -> BadInput:
    """What to say when there is a file already."""
    return BadInput("There is a file of that name already", "Files are not overwritten", "Give another save_to.")


def _write_all(file: BinaryIO, data: bytearray) -> None:
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += file.write(view[written:])
