"""The answers of the last start with the same config and the same code, in a file of the user's cache folder.

A line for each: its key, a blank, and the result as it was sent. The first line says which bytes follow.
"""

from __future__ import annotations

import os
import stat
import sys
from hashlib import sha256

from testlab_mcp import __version__
from testlab_mcp.startup.options import user_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FORMAT = b"testlab-mcp answers 1 "
MAX_BYTES = 4 * 2**20
MAX_ANSWERS = 64
MAX_DOCUMENTS = 16
_PREFIXES = ("TESTLAB_", "PYTHON")
_NAMES = frozenset({"HOME", "USER", "LOGNAME", "LNAME", "USERNAME"})
_INSTALLED = ("site-packages", "dist-packages")


class Document:
    """The document of a surface: what the config, the code and the environment make of it is in its name."""

    def __init__(self, surface: Sequence[str | bytes]) -> None:
        self._folder = os.path.join(user_folder("XDG_CACHE_HOME"), "answers")
        self.path = os.path.join(self._folder, f"{_digest(surface)}.txt")

    def read(self) -> dict[str, bytes]:
        """The results by their keys; none where there is no document, or none that this user alone can have written."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                facts = os.fstat(descriptor)
                private = stat.S_ISREG(facts.st_mode) and not facts.st_mode & 0o077 and facts.st_uid == os.geteuid()
                if not private or facts.st_size > MAX_BYTES:
                    return {}
                head, _, body = file.read(MAX_BYTES).partition(b"\n")
        except OSError:
            return {}
        if head != FORMAT + sha256(body).hexdigest().encode():
            return {}
        return {key.decode(): result for key, _, result in (line.partition(b" ") for line in body.split(b"\n")[:-1])}

    def write(self, answers: Mapping[str, bytes]) -> None:
        """Replace the document, and remove those that were written longest ago. Raises OSError."""
        from pathlib import Path

        from testlab_tools.files.io import replace_file

        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        facts = os.stat(self._folder)
        if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
            raise PermissionError
        latest = list(answers.items())[-MAX_ANSWERS:]
        body = b"".join(key.encode() + b" " + result + b"\n" for key, result in latest)
        if len(body) < MAX_BYTES - 200:
            head = FORMAT.decode() + sha256(body).hexdigest()
            replace_file(Path(self.path), f"{head}\n{body.decode()}")
            self._remove_oldest()

    def discard(self) -> None:
        """Remove the document, if there is one."""
        try:
            os.unlink(self.path)
        except OSError:
            return

    def _remove_oldest(self) -> None:
        written = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(self._folder)]
        for _, path in sorted(written)[:-MAX_DOCUMENTS]:
            os.unlink(path)


def _digest(surface: Sequence[str | bytes]) -> str:
    environment = sorted(
        (name, value) for name, value in os.environ.items() if name in _NAMES or name.startswith(_PREFIXES)
    )
    place = (__version__, sys.version, sys.path, os.geteuid(), environment)
    return sha256(repr((place, list(_stamp_code()), list(_stamp_packages()), list(surface))).encode()).hexdigest()


def _stamp_code() -> Iterator[tuple[str, int, int]]:
    """Each file of this product: its path, size and time of change."""
    import testlab_mcp
    import testlab_tools

    folders = [*testlab_mcp.__path__, *testlab_tools.__path__]
    while folders:
        for entry in sorted(os.scandir(folders.pop()), key=lambda entry: entry.name):
            if entry.is_dir():
                folders += [] if entry.name == "__pycache__" else [entry.path]
            else:
                facts = entry.stat()
                yield entry.path, facts.st_size, facts.st_mtime_ns


def _stamp_packages() -> Iterator[tuple[str, int]]:
    """Each package that is installed: its name with its version, and when it was."""
    for folder in dict.fromkeys(sys.path):
        if folder.endswith(_INSTALLED) and os.path.isdir(folder):
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                if entry.name.endswith((".dist-info", ".egg-info")):
                    yield entry.path, entry.stat().st_mtime_ns
