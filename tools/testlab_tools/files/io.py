"""Writes a new file, which appears only when it is whole, and never in place of another. Reads a regular file of
bounded size, and only the file that was allowed.

Files are opened folder by folder and never through a symlink, so that a path that was allowed cannot be redirected
since: a resolved path has no symlink, so one that is met on the way was made afterwards. Systems without `openat`
(Windows) open by the path: there, everybody who may rename folders in `save_to` and `read_from` must be trusted.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import BinaryIO, NamedTuple

from testlab_tools.errors import BadInput, LabError

BY_DESCRIPTOR = {os.open, os.mkdir, os.stat, os.link, os.unlink, os.rename} <= os.supports_dir_fd
"""Whether this system opens files relative to an open folder."""
FILE_MODE, FOLDER_MODE = 0o600, 0o700
_SEARCH = getattr(os, "O_PATH", getattr(os, "O_SEARCH", os.O_RDONLY))
"""A folder on the way need only be searched, not read (open(2))."""
_FOLDER = _SEARCH | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class OpenFolder(NamedTuple):
    """An open folder; `fd` is None where the system opens by paths."""

    path: Path
    fd: int | None

    @classmethod
    def at(cls, path: Path, *, make: bool = False) -> OpenFolder:
        """Open the folder at a resolved, absolute path; with `make`, missing folders are made, of mode 0700.

        Raises:
            OSError: a part of the path is missing, is no folder, or has become a symlink.
        """
        if not BY_DESCRIPTOR:
            if make:
                path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            return cls(path, None)
        fd = os.open(path.anchor, _FOLDER)
        try:
            for part in path.parts[1:]:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, FOLDER_MODE, dir_fd=fd)
                fd, above = os.open(part, _FOLDER, dir_fd=fd), fd
                os.close(above)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd)

    def open(self, name: str, flags: int) -> int:
        """A descriptor of a file in the folder; a symlink is refused. A file that is made has mode 0600."""
        return os.open(self._locate(name), flags | _FILE, FILE_MODE, dir_fd=self.fd)

    def has(self, name: str) -> bool:
        """Whether there is anything of that name, also a broken symlink."""
        try:
            os.stat(self._locate(name), dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def link(self, name: str, to: str) -> None:
        """Give a file a second name. Raises FileExistsError if that exists; nothing is replaced."""
        os.link(self._locate(name), self._locate(to), src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)

    def rename(self, name: str, to: str) -> None:
        """Rename a file."""
        os.rename(self._locate(name), self._locate(to), src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self._locate(name), dir_fd=self.fd)

    def close(self) -> None:
        """Close the folder."""
        if self.fd is not None:
            os.close(self.fd)

    def _locate(self, name: str) -> str | Path:
        return self.path / name if self.fd is None else name


NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_BUFFERED = 2**20


class Writer:
    """Writes beside `path`, and puts the file there at the end; when anything goes wrong, nothing is left.

    >>> async with Writer(path) as out:
    ...     await out.write(chunk)

    Raises:
        BadInput: there is a file already, or the system refuses to write.
    """

    def __init__(self, path: Path, takes: Callable[[int], None] = lambda size: None) -> None:
        """`takes` is called with each number of bytes to be written, and raises when they are too many."""
        self._takes = takes
        self.path = path
        self.size = 0
        self._buffer = bytearray()
        self._part = f".{token_hex(8)}.part"
        self._folder: OpenFolder | None = None
        self._file: BinaryIO | None = None

    async def __aenter__(self) -> Writer:
        try:
            self._folder = OpenFolder.at(self.path.parent, make=True)
            try:
                if self._folder.has(self.path.name):
                    raise FileExistsError
                self._file = os.fdopen(self._folder.open(self._part, NEW), "wb", buffering=0)
            except BaseException:
                self._folder.close()
                raise
        except OSError as error:
            raise write_error(error) from None
        return self

    async def write(self, data: bytes) -> None:
        """Add to the file."""
        self._takes(len(data))
        self.size += len(data)
        self._buffer += data
        if len(self._buffer) >= _BUFFERED:
            await self._flush()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        folder, file = self._open
        try:
            if kind is None:
                await self._flush()
                file.close()
                self._publish(folder)
        finally:
            file.close()
            folder.remove(self._part)
            folder.close()

    @property
    def _open(self) -> tuple[OpenFolder, BinaryIO]:
        assert self._folder is not None, "use it as a context manager"
        assert self._file is not None
        return self._folder, self._file

    async def _flush(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        try:
            await asyncio.to_thread(_write_all, self._open[1], data)
        except OSError as error:
            raise write_error(error) from None

    def _publish(self, folder: OpenFolder) -> None:
        """A link, unlike a rename, never replaces a file that has come up meanwhile; not every file system has them."""
        try:
            folder.link(self._part, self.path.name)
        except FileExistsError as error:
            raise write_error(error) from None
        except OSError:
            try:
                if folder.has(self.path.name):
                    raise FileExistsError from None
                folder.rename(self._part, self.path.name)
            except OSError as error:
                raise write_error(error) from None


def write_file(path: Path, data: bytes) -> str:
    """Write a small new file at a resolved path, which is returned. Raises BadInput as Writer does."""
    try:
        with closing(OpenFolder.at(path.parent, make=True)) as folder:
            descriptor = folder.open(path.name, NEW)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
            except OSError:
                folder.remove(path.name)
                raise
    except OSError as error:
        raise write_error(error) from None
    return str(path)


def replace_file(path: Path, text: str) -> None:
    """Write a file that only its user can read, at once: a reader finds the old content or the new. Its folder must be
    one that only its user can write to. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def write_error(error: OSError) -> BadInput:
    """The error when the system does not let a file be written."""
    if isinstance(error, FileExistsError):
        return BadInput("There is a file of that name already", "Files are not overwritten", "Give another save_to.")
    reason = error.strerror or type(error).__name__
    return BadInput(f"The file cannot be saved there ({reason})", "", "Give another save_to.")


def _write_all(file: BinaryIO, data: bytearray) -> None:
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += file.write(view[written:])


MAX_BYTES = 64 * 2**20
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
"""A pipe put there does not hold us."""


def read_file(path: Path, most_bytes: int = MAX_BYTES) -> bytes:
    """The content of a file at a resolved path (`Folders.to_read`).

    Raises:
        BadInput: the path is a folder, pipe or device, or the file is too large, unreadable, or was just replaced.
    """
    try:
        with closing(OpenFolder.at(path.parent)) as folder:
            descriptor = folder.open(path.name, _FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise _irregular_error()
            if not BY_DESCRIPTOR and (path.resolve() != path or not os.path.samestat(facts, path.stat())):
                raise _replaced_error()
            content = file.read(most_bytes + 1) if facts.st_size <= most_bytes else None
    except IsADirectoryError:
        raise _irregular_error() from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _replaced_error() from None
        reason = error.strerror or type(error).__name__
        raise BadInput(f"The file cannot be read ({reason})", "", "Check its permissions.") from None
    if content is None or len(content) > most_bytes:
        raise too_large_error("The file", most_bytes)
    return content


def too_large_error(what: str, most_bytes: int) -> LabError:
    """The error for something larger than is read here."""
    size = f"{most_bytes // 2**20} MiB" if most_bytes >= 2**20 else f"{most_bytes} bytes"
    return BadInput(f"{what} is larger than {size}, the most that is read", "", "Give a smaller one.")


def _replaced_error() -> BadInput:
    return BadInput("The file was replaced while it was opened", "", "Call again once it is complete.")


def _irregular_error() -> BadInput:
    return BadInput("The path is not that of a regular file", "", "Give a file, not a folder, pipe or device.")
