"""Where reports are looked for: folders and globs of the config, and the files that match them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import NamedTuple

from testlab_tools.reports.read import ALLURE_FILES

SUFFIXES = (".json", ".xml", ".stdf", ".std", ".atdf")
"""Of files that may be reports, also with `.gz` behind."""
ATTACHMENTS = ".files"
"""A folder of this ending holds the attachments of the report it is named after, and no reports."""
HIDDEN = frozenset({".hardpy"})
"""Folders that are looked into though their names begin with a dot."""
_GLOB = re.compile(r"[*?\[]")


def expand(path: str) -> Path:
    """The absolute path of a path of the config. Raises ValueError for one that this system cannot have."""
    try:
        if not path.strip() or "\0" in path:
            raise ValueError
        return Path(os.path.abspath(Path(path).expanduser()))
    except (RuntimeError, ValueError):
        raise ValueError("must be a path") from None


@dataclass(frozen=True)
class Place:
    """A folder, and which of the paths below it are meant: all, or those that match `pattern`."""

    root: Path
    pattern: re.Pattern[str] | None = None
    glob: str = ""

    @classmethod
    def parse(cls, text: str) -> Place:
        """A folder, a file or a glob; `**` is any number of folders. Raises ValueError."""
        path = expand(text)
        parts = path.parts
        first = next((n for n, part in enumerate(parts) if n and _GLOB.search(part)), len(parts))
        if first == len(parts) or path.exists():
            return cls(path.parent, _translate(re.escape(path.name)), path.name) if path.is_file() else cls(path)
        glob = "/".join(parts[first:])
        return cls(Path(*parts[:first]), _translate_glob(glob), glob)

    @property
    def is_whole(self) -> bool:
        """Whether all below the folder is meant."""
        return self.pattern is None

    def takes(self, relative: str) -> bool:
        """Whether a path below the root, with `/`, is meant."""
        return self.pattern is None or self.pattern.fullmatch(relative) is not None

    def relative(self, path: str) -> str | None:
        """A path below the root, with `/`; empty if it is not looked into or not meant, None if it is not below it."""
        root = os.path.realpath(self.root)
        if not path.startswith(root.rstrip(os.sep) + os.sep):
            return None
        parts = Path(path).relative_to(root).parts
        seen = all(part in HIDDEN or not part.startswith(".") for part in parts)
        seen = seen and not any(part.endswith(ATTACHMENTS) for part in parts[:-1])
        relative = "/".join(parts)
        return relative if seen and self.takes(relative) and _is_text(relative) else ""

    def takes_from(self, folder: Path) -> bool:
        """Whether all reports in a folder are meant."""
        return self.is_whole and (folder == self.root or self.root in folder.parents)


def _translate(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.IGNORECASE if os.name == "nt" else 0)


def _translate_glob(glob: str) -> re.Pattern[str]:
    parts = glob.split("/")
    regex = ""
    for n, part in enumerate(parts):
        last = n == len(parts) - 1
        if part == "**":
            regex += ".*" if last else "(?:[^/]+/)*"
        else:
            regex += _translate_part(part) + ("" if last else "/")
    return _translate(regex)


def _translate_part(part: str) -> str:
    regex, rest = "", part
    while rest:
        sign, rest = rest[0], rest[1:]
        if sign == "*":
            regex += "[^/]*"
        elif sign == "?":
            regex += "[^/]"
        elif sign == "[" and "]" in rest[1:]:
            end = rest.index("]", 1)
            inside, rest = rest[:end].replace("\\", r"\\"), rest[end + 1 :]
            regex += f"[{'^' + inside[1:] if inside.startswith('!') else inside}]"
        else:
            regex += re.escape(sign)
    return regex


class FolderGone(Exception):
    """A root cannot be looked into; `why` in a few words of ours."""

    def __init__(self, root: Path, why: str) -> None:
        super().__init__(f"{root} {why}")
        self.root = root
        self.why = why


class Key(NamedTuple):
    """A file: the number of its place, and its path below that place's root, with `/`."""

    place: int
    relative: str

    def __str__(self) -> str:
        return f"{self.place}/{self.relative}"

    @classmethod
    def parse(cls, text: str) -> Key:
        place, _, relative = text.partition("/")
        return cls(int(place), relative)


@dataclass
class Found:
    """Files by key, each with its signature, which changes with the file; and what was passed over, with why. A folder
    of Allure results stands for all files in it, with `/` at the end of its key; `together` are such folders' paths.
    """

    files: dict[str, str] = field(default_factory=dict[str, str])
    passed_over: dict[str, str] = field(default_factory=dict[str, str])
    together: set[str] = field(default_factory=set[str])


def is_candidate(name: str) -> bool:
    """Whether a file of this name may be a report."""
    folded = name.casefold()
    return not folded.startswith(".") and folded.removesuffix(".gz").endswith(SUFFIXES)


def sign(facts: os.stat_result) -> str:
    """What of a file changes when it is written: its size, times and number."""
    return f"{facts.st_size}.{facts.st_mtime_ns}.{facts.st_ctime_ns}.{facts.st_ino}"


def sign_together(files: Mapping[str, os.stat_result]) -> str:
    """The signature of a folder whose files are one report: that of all of them."""
    size = sum(facts.st_size for facts in files.values())
    written = max((facts.st_mtime_ns for facts in files.values()), default=0)
    each = sorted(f"{name} {sign(facts)}" for name, facts in files.items())
    return f"{size}.{written}.{sha256(repr(each).encode('utf-8', 'replace')).hexdigest()[:16]}.{len(files)}"


def stat_together(folder: str) -> dict[str, os.stat_result]:
    """The regular files in a folder. Raises OSError."""
    with os.scandir(folder) as entries:
        facts = {entry.name: entry.stat(follow_symlinks=False) for entry in entries if not entry.is_symlink()}
    return {name: found for name, found in facts.items() if stat.S_ISREG(found.st_mode)}


def walk(places: Sequence[Place], stop: Event) -> Found:
    """All files that may be reports. Links are not followed.

    Raises:
        FolderGone: a root is not there, or cannot be read.
    """
    found = Found()
    for number, place in enumerate(places):
        root = os.path.realpath(place.root)
        waiting = [""]
        while waiting and not stop.is_set():
            _look_into(found, number, place, root, waiting.pop(), waiting)
    return found


def _look_into(found: Found, number: int, place: Place, root: str, below: str, waiting: list[str]) -> None:
    folder = os.path.join(root, below)
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
        together = any(entry.name.endswith(ALLURE_FILES[0]) and place.takes(below + entry.name) for entry in entries)
        if together:
            found.files[f"{number}/{below}"] = sign_together(stat_together(folder))
            found.together.add(folder.rstrip("/" + os.sep))
        for entry in entries:
            if not together or entry.is_dir(follow_symlinks=False):
                _look_at(found, number, place, root, below, entry, waiting)
    except PermissionError:
        if not below:
            raise FolderGone(place.root, "may not be read by this user") from None
        found.passed_over[str(Key(number, below))] = "forbidden"
    except (FileNotFoundError, NotADirectoryError):
        if not below or not os.path.isdir(root):
            raise FolderGone(place.root, "is not there, or is no folder") from None
    except OSError as error:
        raise FolderGone(place.root, f"cannot be read ({error.strerror or type(error).__name__})") from None


def _look_at(
    found: Found, number: int, place: Place, root: str, below: str, entry: os.DirEntry[str], waiting: list[str]
) -> None:
    name = entry.name
    if name.startswith(".") and name not in HIDDEN:
        return
    relative = below + name
    key = f"{number}/{relative}"
    try:
        if entry.is_symlink() or (os.name == "nt" and _is_junction(entry)):
            if not _is_within(entry.path, root) and (is_candidate(name) or os.path.isdir(entry.path)):
                found.passed_over[_printable(key)] = "link"
        elif entry.is_dir(follow_symlinks=False):
            if not name.endswith(ATTACHMENTS):
                waiting.append(f"{relative}/")
        elif is_candidate(name) and place.takes(relative):
            if not _is_text(key):
                found.passed_over[_printable(key)] = "name"
            else:
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    found.files[key] = sign(facts)
                else:
                    found.passed_over[key] = "irregular"
    except FileNotFoundError:
        return
    except OSError:
        found.passed_over[_printable(key)] = "forbidden"


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Of Windows; before Python 3.12 they are not told from folders."""
    return bool(getattr(entry, "is_junction", bool)())


def _is_within(path: str, root: str) -> bool:
    target = os.path.realpath(path)
    return target == root or target.startswith(root.rstrip(os.sep) + os.sep)


def _is_text(key: str) -> bool:
    return key.isascii() or not any("\ud800" <= char <= "\udfff" for char in key)


def _printable(key: str) -> str:
    return key.encode("utf-8", "replace").decode("utf-8")
