"""The audit's chain of lines, and where it is written: a file that several server processes share, or standard error.

A line is one JSON object in ASCII. Its last member, `hash`, is the SHA-256 of the line without it; the member before,
`prev`, is the hash of the previous line. The hashes are not keyed: anybody who may write the file can rewrite all of
it, which only a hash kept elsewhere shows.

`FILE.head` holds the position of the last line; its lock is held while a line is appended. A file that does not end at
that position has been cut, and is not written to until a person has mended it. A file that reaches its size is renamed
to `NAME.<last number>.SUFFIX`, and the chain continues in a new file. No file is ever deleted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import sys
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from testlab_tools.files.lock import FileLock

Record = Mapping[str, object]
LOCK_SECONDS = 5.0
MAX_LINE_BYTES = 1 << 20
_SAFELY: int = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_FLAGS = os.O_RDWR | os.O_CREAT | _SAFELY
GENESIS = "0" * 64
_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_HASH_CHARS = len(',"hash":""}') + 64


class ChainPosition(NamedTuple):
    """A place in the chain: a line's number and its hash."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> ChainPosition | None:
        """From `SEQ:HASH`, as `str` writes it; None for another text."""
        found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text.strip())
        return cls(int(found[1]), found[2]) if found else None

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


START = ChainPosition(0, GENESIS)


@dataclass(frozen=True)
class Line:
    """A line as read; `intact` when it holds its own hash."""

    position: ChainPosition
    prev: str
    intact: bool
    record: Mapping[str, Any]


def encode_record(record: Record, after: ChainPosition) -> tuple[bytes, ChainPosition]:
    """The line of a record that follows `after`, with the time and its line break, and its position."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"time": time, "seq": after.seq + 1, **record, "prev": after.hash}
    text = json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    digest = hashlib.sha256(text).hexdigest()
    return text[:-1] + f',"hash":"{digest}"}}\n'.encode(), ChainPosition(after.seq + 1, digest)


def decode_record(line: bytes) -> Line | None:
    """Decode a line without its line break; None when it is not a line of an audit."""
    body, tail = line[:-_HASH_CHARS] + b"}", _HASH.fullmatch(line[-_HASH_CHARS:])
    try:
        record: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if tail is None or not isinstance(record, dict):
        return None
    members = cast(dict[str, Any], record)
    seq, prev = members.get("seq"), members.get("prev")
    if type(seq) is not int or not isinstance(prev, str):
        return None
    digest = tail[1].decode()
    return Line(ChainPosition(seq, digest), prev, hashlib.sha256(body).hexdigest() == digest, members)


class BrokenChain(Exception):
    """The file does not end at the position that its head states."""


class StderrSink:
    """Writes this process's own chain to standard error, for collectors of a container's output."""

    def __init__(self) -> None:
        self._last = START
        self._lock = threading.Lock()

    def append(self, record: Record) -> None:
        """Write a line."""
        with self._lock:
            line, self._last = encode_record(record, self._last)
            _echo(line)


class FileSink:
    """Writes lines to a file of about `max_bytes`, each synced before `append` returns; with `echo`, to standard error
    as well."""

    def __init__(self, path: Path, max_bytes: int, echo: bool = False) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._echo = echo
        self._lock = threading.Lock()

    def append(self, record: Record) -> None:
        """Write a line durably; blocks. Raises OSError or BrokenChain when nothing has been written."""
        with self._lock, self._locked_head() as head:
            last = _read_head(head)
            with _open_file(self.path) as file:
                end, fragment = _read_end(file, last)
                torn = {"after_torn": hashlib.sha256(fragment).hexdigest()} if fragment else {}
                line, position = encode_record({**record, **torn}, end or last or START)
                size = _append(file, (b"\n" if fragment else b"") + line)
            _write_head(head, position)
            if size >= self._max_bytes:
                self.path.rename(self.path.with_name(f"{self.path.stem}.{position.seq:012d}{self.path.suffix}"))
        if self._echo:
            _echo(line)

    @contextlib.contextmanager
    def _locked_head(self) -> Generator[int]:
        """The head file's descriptor, while this process holds its lock."""
        lock = FileLock(head_of(self.path), _SAFELY)
        if not lock.acquire(LOCK_SECONDS):
            raise TimeoutError(errno.ETIMEDOUT, "Another process keeps the audit locked")
        try:
            yield lock.descriptor
        finally:
            lock.release()


AuditSink = StderrSink | FileSink


def _echo(line: bytes) -> None:
    sys.stderr.write(line.decode("ascii"))
    sys.stderr.flush()


def head_of(path: Path) -> Path:
    """The head file of an audit file."""
    return path.with_name(f"{path.name}.head")


def parts_of(path: Path) -> list[Path]:
    """All files of an audit, oldest first."""
    length = len(path.stem) + 1
    older = [p for p in path.parent.glob(f"{path.stem}.*{path.suffix}") if p.stem[length:].isdecimal()]
    return [*sorted(older, key=lambda p: int(p.stem[length:])), *([path] if path.exists() else [])]


@contextlib.contextmanager
def _open_file(path: Path) -> Generator[int]:
    descriptor = os.open(path, _FLAGS | os.O_APPEND, 0o600)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError("it is not a file")
        if os.name == "posix" and mode & 0o077:
            os.fchmod(descriptor, 0o600)
        yield descriptor
    finally:
        os.close(descriptor)


def _read_end(file: int, head: ChainPosition | None) -> tuple[ChainPosition | None, bytes]:
    """The position of the last complete line, if any, and the fragment of a line that a crash left after it.

    Raises:
        BrokenChain: the last line is older than the head's, or was altered.
    """
    size = os.fstat(file).st_size
    start = max(0, size - 2 * MAX_LINE_BYTES)
    os.lseek(file, start, os.SEEK_SET)
    whole, _, fragment = os.read(file, size - start).rpartition(b"\n")
    if not whole:
        return None, fragment
    line = decode_record(whole.rpartition(b"\n")[2])
    if line is None or not line.intact:
        raise BrokenChain("its last line was altered")
    end = line.position
    if head is not None and (head.seq > end.seq or (head.seq == end.seq and head != end)):
        raise BrokenChain("its last lines are missing")
    return end, fragment


def _append(file: int, data: bytes) -> int:
    """Append and sync, or leave the file as it was and raise OSError. Returns the file's size."""
    before = os.fstat(file).st_size
    try:
        if os.write(file, data) != len(data):
            raise OSError("the disk is full")
        os.fsync(file)
    except OSError:
        os.ftruncate(file, before)
        raise
    return before + len(data)


def _read_head(head: int) -> ChainPosition | None:
    os.lseek(head, 0, os.SEEK_SET)
    return ChainPosition.parse(os.read(head, 200).decode("ascii", "replace"))


def _write_head(head: int, position: ChainPosition) -> None:
    os.lseek(head, 0, os.SEEK_SET)
    os.write(head, f"{position.seq:018d}:{position.hash}\n".encode())
