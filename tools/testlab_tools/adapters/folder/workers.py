"""Reads many files at once in processes of their own: the server goes on answering meanwhile, and a file that takes a
reader's life takes only that. A reader ends when its standard input does, so with whoever started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from threading import Event
from typing import IO, cast

from testlab_tools.adapters.folder.reading import Record, Request, read_record

MAX_READERS = 4
BATCH = 50
COMMAND = (sys.executable, "-m", "testlab_tools.adapters.folder.workers")
FEW = 200
"""Files that are read in this process: readers take a moment to start."""


def read_records(requests: Sequence[Request], stop: Event) -> Iterator[list[Record]]:
    """The records of files, some at a time, as they come; ends early when `stop` is set."""
    batches = [requests[n : n + BATCH] for n in range(0, len(requests), BATCH)]
    if len(requests) <= FEW:
        for batch in batches:
            if stop.is_set():
                return
            yield [read_record(request) for request in batch]
        return
    count = min(MAX_READERS, os.cpu_count() or 1)
    readers: SimpleQueue[_Reader] = SimpleQueue()
    with ThreadPoolExecutor(count, thread_name_prefix="testlab-folder") as pool:
        started = [_Reader() for _ in range(count)]
        try:
            for reader in started:
                readers.put(reader)
            yield from _spread(pool, readers, batches, 2 * count, stop)
        finally:
            for reader in started:
                reader.close()


def _spread(
    pool: ThreadPoolExecutor,
    readers: SimpleQueue[_Reader],
    batches: Iterable[Sequence[Request]],
    ahead: int,
    stop: Event,
) -> Iterator[list[Record]]:
    """Keep so many batches on their way, and give their records in order."""

    def read(batch: Sequence[Request]) -> list[Record]:
        if stop.is_set():
            return []
        reader = readers.get()
        try:
            return reader.read(batch)
        finally:
            readers.put(reader)

    pending: deque[Future[list[Record]]] = deque()
    for batch in batches:
        pending.append(pool.submit(read, batch))
        if len(pending) >= ahead:
            yield pending.popleft().result()
        if stop.is_set():
            break
    while pending and not stop.is_set():
        yield pending.popleft().result()


class _Reader:
    """A process that answers each line, a request, with a line, its record."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def read(self, batch: Sequence[Request]) -> list[Record]:
        """The records of some files. A file at which the process ends is damaged."""
        records: list[Record] = []
        while len(records) < len(batch):
            left = batch[len(records) :]
            records += self._ask(left)
            if len(records) < len(batch):
                self.close()
                died = batch[len(records)]
                why = "The process that read it ended"
                lost = {"key": died.key, "signature": died.signature, "format": "", "state": "damaged", "why": why}
                records.append({**lost, "runs": []})
        return records

    def _ask(self, batch: Sequence[Request]) -> Iterator[Record]:
        process = self._process = self._process or _start()
        source, sink = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        with suppress(OSError, ValueError):
            for ahead, request in enumerate(batch):  # one more is on its way than is waited for
                source.write(f"{json.dumps(request)}\n")
                source.flush()
                if ahead:
                    yield json.loads(sink.readline())
            yield json.loads(sink.readline())

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            process, self._process = self._process, None
            with suppress(OSError):
                cast(IO[str], process.stdin).close()
            process.kill()
            process.wait()
            cast(IO[str], process.stdout).close()


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def main() -> None:
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        record = read_record(Request(*json.loads(line)))
        sys.stdout.write(f"{json.dumps(record)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
