"""Lets tools read and write files only below the folders that the config names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testlab_tools.errors import BadInput, NotFound, Refused
from testlab_tools.files.transfers import Transfers

MAX_CHARS = 1_000
MAX_FOLDERS = 30


@dataclass(frozen=True)
class Folders:
    """The folders a tool may write to, and the files now being written; a relative path is below the first folder.

    A tool may read what is below `read_from` or `save_to`.
    """

    save_to: Sequence[Path]
    transfers: Transfers = field(default_factory=Transfers, compare=False)
    read_from: Sequence[Path] = ()

    def to_write(self, path: str) -> Path | None:
        """The file to write, symlinks and `..` resolved; None for an empty path.

        Raises:
            Refused: the path is outside all folders.
            BadInput: the path is a folder, or malformed.
        """
        if not path:
            return None
        if not self.save_to:
            raise Refused("Files are not saved", "[files] save_to in the config names no folder", "Leave save_to out.")
        try:
            target = _resolve(self.save_to[0], path)
            folder = target.is_dir()
        except (RuntimeError, ValueError, OSError):
            raise BadInput("save_to is not a path this system can have", "", "Give a bare file name.") from None
        tops = [top.resolve() for top in self.save_to]
        if not any(target.is_relative_to(top) for top in tops):
            raise Refused(
                "Files are not saved there",
                "Only below the folders of [files] save_to in the config",
                f"Give a bare file name; it goes to {self.save_to[0]}.",
            )
        if folder or target in tops or path.endswith(("/", "\\")):
            raise BadInput("save_to names a folder", "", "Give a file name.")
        return target

    async def make_room(self, target: Path | None, size: int) -> None:
        """Count bytes to be written to a target, if there is one. Raises Refused when they are too many."""
        if target is not None:
            await self.transfers.quota.measure()
            self.transfers.quota.consume(size)

    def to_read(self, path: str) -> Path:
        """The file to read, symlinks and `..` resolved; a relative path is looked for in each folder in turn.

        Raises:
            Refused: the path is outside all folders, or there are none.
            NotFound: there is no such file.
            BadInput: the path is malformed.
        """
        folders = [folder.resolve() for folder in (*self.read_from, *self.save_to)]
        if not folders:
            raise Refused("Files are not read", "[files] read_from in the config names no folder", "Name one there.")
        try:
            targets = [_resolve(folder, path) for folder in folders]
        except (RuntimeError, ValueError, OSError):
            raise BadInput("path is not one this system can have", "", "Give the path of a file.") from None
        allowed = [target for target in targets if any(target.is_relative_to(folder) for folder in folders)]
        found = next((target for target in allowed if os.path.exists(target)), None)
        if found is None and len(allowed) < len(targets):
            raise Refused(
                "Files are not read there",
                "Only below the folders of [files] read_from and save_to in the config",
                "Put the file there, or add its folder to [files] read_from.",
            )
        if found is None:
            raise NotFound("There is no such file below [files] read_from and save_to", "", "Check its path.").naming(
                path
            )
        return found


def _resolve(folder: Path, path: str) -> Path:
    """The path, symlinks and `..` resolved. Raises ValueError, RuntimeError or OSError for a malformed path, which
    `~name`, the home of another user, is too.
    """
    if len(path) > MAX_CHARS or path.count("/") + path.count("\\") > MAX_FOLDERS:
        raise ValueError("too long")
    if path.startswith("~") and path[1:2] not in ("", "/"):
        raise ValueError("another user's")
    resolved = (folder / Path(path).expanduser()).resolve()
    if any(os.path.islink(part) for part in (resolved, *resolved.parents)):  # Python 3.13 leaves a circle as it is
        raise ValueError("symlinks in a circle")
    return resolved


def sanitize_path(name: str) -> str:
    """A relative path made of a name that a device or a person chose: letters, digits, `_`, `-`, and spaces and dots
    inside, each part at most 100 of them; nothing that a shell, a desktop or Windows takes for something else.

    >>> safe_path("shots/main menu.png"), safe_path("../.bashrc"), safe_path("CON")
    ('shots/main menu.png', '_/_bashrc', '_CON')
    """
    return "/".join(_safe_part(part) for part in name.split("/") if part) or "_"


def _safe_part(part: str) -> str:
    part = _UNSAFE.sub("_", part).strip(" ").rstrip(". ")
    if len(part) > _MAX_PART:
        stem, dot, ending = part.rpartition(".")
        kept = _MAX_PART - len(ending) - 1
        part = f"{stem[:kept]}.{ending}" if dot and kept > _MAX_PART // 2 else part[:_MAX_PART]
    if part.startswith((".", "-")) or not part:
        part = f"_{part[1:]}"
    return f"_{part}" if part.partition(".")[0].upper() in _DEVICES else part


_UNSAFE = re.compile(r"[^\w. -]+", re.ASCII)
_MAX_PART = 100
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))})
"""Names that Windows keeps for devices, whatever their ending."""
