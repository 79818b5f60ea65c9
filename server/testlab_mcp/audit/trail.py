"""Where an audit's lines go: a file that several server processes share, or standard error.

Beside `FILE` stands `FILE.head` with the number and hash of the last line, under whose lock lines are appended. A file
that does not end as its head says has been cut, and nothing more is written to it until somebody has looked.
A file that has reached its size is renamed to `NAME.<last number>.SUFFIX`; the chain goes on in a new one. None is
ever deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from testlab_mcp.audit.chain import START, Link, opened, sealed
from testlab_tools.locking import lock

LOCK_SECONDS = 5.0
LONGEST_LINE = 1 << 20
_SAFELY: int = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_FLAGS = os.O_RDWR | os.O_CREAT | _SAFELY


class Broken(Exception):
    """The file does not end as its head says: lines are missing, or are not its own."""


class Trail(ABC):
    """Where lines go."""

    @abstractmethod
    def append(self, said: Mapping[str, object]) -> None:
        """Write a line, to stay. It blocks. Raises OSError or Broken; nothing has been written then."""


class StderrTrail(Trail):
    """A chain of this process's own on standard error, for what collects a container's output."""

    def __init__(self) -> None:
        self._last = START
        self._turn = threading.Lock()

    def append(self, said: Mapping[str, object]) -> None:
        with self._turn:
            line, self._last = sealed(said, self._last, datetime.now(UTC))
            sys.stderr.write(line.decode("ascii"))
            sys.stderr.flush()


class FileTrail(Trail):
    """A file of lines, each on disk before `append` returns; with `echo`, on standard error as well."""

    def __init__(self, path: Path, most_bytes: int, echo: bool = False) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._echo = echo
        self._turn = threading.Lock()

    def append(self, said: Mapping[str, object]) -> None:
        with self._turn, self._head() as head:
            last = _read_head(head)
            with _file(self.path) as file:
                end, fragment = _end_of(file, last)
                torn = {"after_torn": hashlib.sha256(fragment).hexdigest()} if fragment else {}
                line, link = sealed({**said, **torn}, end or last or START, datetime.now(UTC))
                size = _written(file, (b"\n" if fragment else b"") + line)
            _write_head(head, link)
            if size >= self._most_bytes:
                self.path.rename(self.path.with_name(f"{self.path.stem}.{link.seq:012d}{self.path.suffix}"))
        if self._echo:
            sys.stderr.write(line.decode("ascii"))
            sys.stderr.flush()

    @contextlib.contextmanager
    def _head(self) -> Generator[int, None, None]:
        """The head file, locked."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(head_of(self.path), _FLAGS, 0o600)
        try:
            _locked(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)


def head_of(path: Path) -> Path:
    """The head of an audit file."""
    return path.with_name(f"{path.name}.head")


def parts_of(path: Path) -> list[Path]:
    """The files that a file's lines were written to, the oldest first."""
    length = len(path.stem) + 1
    older = [p for p in path.parent.glob(f"{path.stem}.*{path.suffix}") if p.stem[length:].isdecimal()]
    return [*sorted(older, key=lambda p: int(p.stem[length:])), *([path] if path.exists() else [])]


def _locked(descriptor: int) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return lock(descriptor)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.002)


@contextlib.contextmanager
def _file(path: Path) -> Generator[int, None, None]:
    descriptor = os.open(path, _FLAGS | os.O_APPEND, 0o600)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError("it is not a file")
        if os.name == "posix" and facts.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
        yield descriptor
    finally:
        os.close(descriptor)


def _end_of(file: int, head: Link | None) -> tuple[Link | None, bytes]:
    """The place of the last whole line, if there is one; and what a crash left of one after it.

    Raises:
        Broken: it is not the line that the head says, nor one written after it.
    """
    size = os.fstat(file).st_size
    start = max(0, size - 2 * LONGEST_LINE)
    os.lseek(file, start, os.SEEK_SET)
    whole, _, fragment = os.read(file, size - start).rpartition(b"\n")
    if not whole:
        return None, fragment
    line = opened(whole.rpartition(b"\n")[2])
    if line is None or not line.genuine:
        raise Broken("its last line was altered")
    if head is not None and (head.seq > line.link.seq or (head.seq == line.link.seq and head != line.link)):
        raise Broken("its last lines are missing")
    return line.link, fragment


def _written(file: int, data: bytes) -> int:
    """Append and sync; what could not be written whole is taken back. The file's size."""
    before = os.fstat(file).st_size
    try:
        if os.write(file, data) != len(data):
            raise OSError("the disk is full")
        os.fsync(file)
    except OSError:
        os.ftruncate(file, before)
        raise
    return before + len(data)


def _read_head(head: int) -> Link | None:
    os.lseek(head, 0, os.SEEK_SET)
    return Link.parse(os.read(head, 200).decode("ascii", "replace"))


def _write_head(head: int, link: Link) -> None:
    os.lseek(head, 0, os.SEEK_SET)
    os.write(head, f"{link.seq:018d}:{link.hash}\n".encode())
