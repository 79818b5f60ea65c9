"""Files that tools read and write: only below the folders the config names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testlab_tools.errors import BadInput, Refused
from testlab_tools.transfers import Transfers
from testlab_tools.writing import refused, taken


@dataclass(frozen=True)
class Folders:
    """The folders a tool may write to, and the files now being written; a relative path means the first folder."""

    save_to: Sequence[Path]
    transfers: Transfers = field(default_factory=Transfers, compare=False)

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
        except (RuntimeError, ValueError, OSError):
            raise BadInput("save_to is not a path this system can have", "", "Give a bare file name.") from None
        if not any(target.is_relative_to(folder.resolve()) for folder in self.save_to):
            raise Refused(
                "Files are not saved there",
                "Only below the folders of [files] save_to in the config",
                f"Give a bare file name; it goes to {self.save_to[0]}.",
            )
        if target.is_dir() or path.endswith(("/", "\\")):
            raise BadInput("save_to names a folder", "", "Give a file name.")
        return target


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
