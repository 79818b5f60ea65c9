"""Opens files folder by folder and never through a symlink, so that a path that was allowed cannot be redirected since.

A resolved path has no symlink, so one that is met on the way was made afterwards. Systems without `openat` (Windows)
open by the path: there, everybody who may rename folders in `save_to` and `read_from` must be trusted.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

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


@contextmanager
def open_folder(path: Path, *, make: bool = False) -> Generator[OpenFolder]:
    """As `OpenFolder.at`, closed at the end."""
    folder = OpenFolder.at(path, make=make)
    try:
        yield folder
    finally:
        folder.close()
