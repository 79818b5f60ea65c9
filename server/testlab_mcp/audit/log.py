"""Writes the audit to a file that several server processes share, or to standard error.

`FILE.head` holds the position of the last line; its lock is held while a line is appended. A file that does not end at
that position has been cut, and is not written to until somebody has looked. A file that reaches its size is renamed to
`NAME.<last number>.SUFFIX`, and the chain continues in a new one. No file is ever deleted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import stat
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import anyio
from mcp.server.session import ServerSession

from testlab_mcp.audit.chain import START, ChainPosition, decode_record, encode_record
from testlab_mcp.audit.flood_limit import FloodLimit
from testlab_mcp.audit.record import AuditedCall, Record, failure_reason, shorten
from testlab_tools.errors import Refused
from testlab_tools.files.lock import FileLock
from testlab_tools.registry import ToolSpec

logger = logging.getLogger("testlab_mcp")

LOCK_SECONDS = 5.0
MAX_LINE_BYTES = 1 << 20
_SAFELY: int = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_FLAGS = os.O_RDWR | os.O_CREAT | _SAFELY


class BrokenChain(Exception):
    """The file does not end at the position that its head states."""


class AuditSink(ABC):
    """Where lines are written."""

    @abstractmethod
    def append(self, record: Record) -> None:
        """Write a line durably; blocks. Raises OSError or BrokenChain when nothing has been written."""


class StderrSink(AuditSink):
    """Writes this process's own chain to standard error, for collectors of a container's output."""

    def __init__(self) -> None:
        self._last = START
        self._lock = threading.Lock()

    def append(self, record: Record) -> None:
        with self._lock:
            line, self._last = encode_record(record, self._last, datetime.now(UTC))
            _echo(line)


class FileSink(AuditSink):
    """Writes lines to a file of about `max_bytes`, each synced before `append` returns; with `echo`, to standard error
    as well."""

    def __init__(self, path: Path, max_bytes: int, echo: bool = False) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._echo = echo
        self._lock = threading.Lock()

    def append(self, record: Record) -> None:
        with self._lock, self._locked_head() as head:
            last = _read_head(head)
            with _open_file(self.path) as file:
                end, fragment = _read_end(file, last)
                torn = {"after_torn": hashlib.sha256(fragment).hexdigest()} if fragment else {}
                line, position = encode_record({**record, **torn}, end or last or START, datetime.now(UTC))
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


def client_of(session: ServerSession) -> dict[str, str]:
    """Name and version that the client states; empty when it does not."""
    params = session.client_params
    if params is None:
        return {}
    info = params.client_info
    return {"name": shorten(info.name), "version": shorten(info.version)}


class AuditLogger:
    """Writes an audit. `open_sink` is called at the first line, and None without an audit; `reads` includes calls that
    change nothing."""

    def __init__(self, open_sink: Callable[[], AuditSink] | None = None, reads: bool = False) -> None:
        self._open_sink = open_sink
        self._reads = reads
        self._sink: AuditSink | None = None
        self._floods = FloodLimit(self._write_count)

    def call(self, spec: ToolSpec, arguments: Mapping[str, Any], who: str, session: ServerSession) -> AuditedCall:
        """The context of a call by the caller `who`."""
        if self._open_sink is None:
            return AuditedCall(None, spec, arguments, "", {})
        return AuditedCall(self._write, spec, arguments, who, client_of(session), self._reads)

    async def write_refusal(self, spec: ToolSpec, arguments: object, who: str, session: ServerSession) -> None:
        """Write a call that the policy refused, or only count it; its arguments are as received."""
        if self._open_sink is None or self._floods.suppress(who, spec.name):
            return
        given: Mapping[str, Any] = cast(Mapping[str, Any], arguments) if isinstance(arguments, Mapping) else {}
        call = self.call(spec, given, who, session)
        call.stage = "policy"
        with contextlib.suppress(Refused):
            async with call:
                raise Refused("Not allowed")

    async def aclose(self) -> None:
        """Write the refusals that are only counted so far."""
        await self._floods.aclose()

    async def _write_count(self, who: str, tool: str, times: int) -> None:
        outcome = {"who": who, "tool": tool, "outcome": "refused", "by": "policy", "error": "Refused", "times": times}
        await self._write({"event": "outcome", "call": uuid4().hex[:16], **outcome})

    async def _write(self, record: Record) -> None:
        """Write a line in a thread. A failure is logged; that of an intent is raised as well."""
        with anyio.CancelScope(shield=True):
            try:
                await anyio.to_thread.run_sync(self._append, record)
            except Exception as error:
                logger.error("a line of the audit could not be written: %s", failure_reason(error))
                if record["event"] == "intent":
                    raise

    def _append(self, record: Record) -> None:
        if self._sink is None:
            assert self._open_sink is not None, "nothing is written without an audit"
            self._sink = self._open_sink()
        self._sink.append(record)
