"""Files that tools read and write: only below the folders the config names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testlab_tools.errors import BadInput, NotFound, Refused
from testlab_tools.transfers import Transfers
from testlab_tools.writing import refused, taken


@dataclass(frozen=True)
class Folders:
    """The folders a tool may write to, and the files now being written; a relative path means the first folder.

    What lies below `read_from`, or was saved, a tool may read.
    """

    save_to: Sequence[Path]
    transfers: Transfers = field(default_factory=Transfers, compare=False)
    read_from: Sequence[Path] = ()

    def to_write(self, path: str) -> Path | None:
        """Where to write, symlinks and `..` resolved; None for an empty path.

        Raises:
            Refused: outside all folders.
            BadInput: it names a folder, or is no path.
        """
        if not path:
            return None
        if not self.save_to:
            raise Refused("Files are not saved", "[files] save_to in the config names no folder", "Leave save_to out.")
        try:
            target = (self.save_to[0] / Path(path).expanduser()).resolve()
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

    def to_read(self, path: str) -> Path:
        """The file to read, symlinks and `..` resolved; a relative path is looked for in each folder in turn.

        Raises:
            Refused: outside all folders, or there are none.
            NotFound: there is no such file.
            BadInput: it is no path.
        """
        folders = [folder.resolve() for folder in (*self.read_from, *self.save_to)]
        if not folders:
            raise Refused("Files are not read", "[files] read_from in the config names no folder", "Name one there.")
        try:
            targets = [(folder / Path(path).expanduser()).resolve() for folder in folders]
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
            raise NotFound("There is no such file below [files] read_from and save_to", "", "Check its path.")
        return found


def safe_path(name: str) -> str:
    """A relative path made of a name that a device or a person chose: letters, digits, `_`, `-`, and spaces and dots
    inside, each part at most 100 of them; nothing that a shell, a desktop or Windows takes for something else.

    >>> safe_path("shots/main menu.png"), safe_path("../.bashrc"), safe_path("CON")
    ('shots/main menu.png', '_/_bashrc', '_CON')
    """
    return "/".join(_safe_part(part) for part in name.split("/") if part) or "_"


def _safe_part(part: str) -> str:
    part = _UNSAFE.sub("_", part).strip(" ").rstrip(". ")
    if len(part) > _MOST_PART:
        stem, dot, ending = part.rpartition(".")
        kept = _MOST_PART - len(ending) - 1
        part = f"{stem[:kept]}.{ending}" if dot and kept > _MOST_PART // 2 else part[:_MOST_PART]
    if part.startswith((".", "-")) or not part:
        part = f"_{part[1:]}"
    return f"_{part}" if part.partition(".")[0].upper() in _DEVICES else part


_UNSAFE = re.compile(r"[^\w. -]+", re.ASCII)
_MOST_PART = 100
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))})
"""Names that Windows keeps for devices, whatever their ending."""


def write(path: Path, data: bytes) -> str:
    """Write a new file and return its path. Raises BadInput when there is one already, or the system refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() or path.is_symlink():
            raise taken()
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise refused(error) from None
    return str(path)
