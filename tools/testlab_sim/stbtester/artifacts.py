"""The files a run leaves: name, bytes, size and md5, made on demand and the same each time."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from testlab_sim.seeded_random import chance
from testlab_sim.stbtester.jobs import Run
from testlab_sim.stbtester.logs import log_lines, log_of, traceback_of
from testlab_sim.stbtester.screens import Screen, jpeg, png, screen_of

_KEPT = 64
_CHUNK = 1 << 18


class Artifacts:
    """`names` and `content` per run; sizes and sums are remembered, and the content of the last few files."""

    def __init__(self) -> None:
        self._facts: dict[tuple[str, str], dict[str, Any]] = {}
        self._recent: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._large: dict[tuple[str, str], int] = {}

    def names(self, run: Run) -> list[str]:
        own = [name for name in _MAKERS if name != "zap-times.csv" or _is_live(run)]
        given = [name for result_id, name in self._large if result_id == run.result_id and name != "stbt.log"]
        return list(dict.fromkeys(own + given))

    def enlarge(self, run: Run, name: str, size: int) -> None:
        """Make one file of a run `size` bytes long: a new one, or one in place of its own."""
        self._large[run.result_id, name] = size
        self._facts.pop((run.result_id, name), None)

    def large(self, run: Run, name: str) -> int | None:
        """The size a file was enlarged to."""
        return self._large.get((run.result_id, name))

    def content(self, run: Run, name: str) -> bytes:
        key = (run.result_id, name)
        content = self._recent.get(key)
        if content is None:
            content = self._recent[key] = _MAKERS[name](run)
            if len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
        return content

    def listing(self, run: Run) -> dict[str, dict[str, Any]]:
        """`{"size", "md5"}` per file. The vendor's page shows `size` alone; stbt_rig 33.1.0 needs `md5` too."""
        return {name: self._fact(run, name) for name in self.names(run)}

    def _fact(self, run: Run, name: str) -> dict[str, Any]:
        key = (run.result_id, name)
        if key not in self._facts:
            size, md5 = 0, hashlib.md5(usedforsecurity=False)
            for chunk in self.chunks(run, name):
                size += len(chunk)
                md5.update(chunk)
            self._facts[key] = {"size": size, "md5": md5.hexdigest()}
        return self._facts[key]

    def chunks(self, run: Run, name: str) -> Iterable[bytes]:
        """A file's content, a piece at a time."""
        size = self.large(run, name)
        return [self.content(run, name)] if size is None else _large_file(size)


def final_screen(run: Run) -> Screen:
    """What the device showed when the run ended."""
    case = run.job.revision.cases.get(run.test_case)
    return screen_of(case.screen if case else "home", run.result_id, run.end, 1.0, run.outcome.failure)


def _is_live(run: Run) -> bool:
    case = run.job.revision.cases.get(run.test_case)
    return case is not None and case.screen == "live"


def _screenshot(run: Run) -> bytes:
    return png(final_screen(run))


def _thumbnail(run: Run) -> bytes:
    return jpeg(final_screen(run))


def _combined(run: Run) -> bytes:
    return log_of(run, UTC).encode()


def _stderr(run: Run) -> bytes:
    return "".join(f"{message}\n" for _, message in log_lines(run)).encode()


def _stdout(run: Run) -> bytes:
    return f"{run.test_case}: {run.outcome.result}\n{traceback_of(run) or ''}".encode()


def _video(run: Run) -> bytes:
    """An MP4 file with its type box and an empty media box: a name and a size, no pictures."""
    media = hashlib.shake_128(run.result_id.encode()).digest(16_000 + int(chance(run.result_id, "video") * 48_000))
    kind = b"isom\x00\x00\x02\x00isomiso2mp41"
    return _box(b"ftyp", kind) + _box(b"free", b"") + _box(b"mdat", media)


def _box(kind: bytes, payload: bytes) -> bytes:
    return (len(payload) + 8).to_bytes(4, "big") + kind + payload


def _zap_times(run: Run) -> bytes:
    times = [0.9 + chance(run.result_id, "zap", i) for i in range(12)]
    return "\n".join(["channel,seconds", *(f"{i + 1},{seconds:.3f}" for i, seconds in enumerate(times)), ""]).encode()


def _network(run: Run) -> bytes:
    lines = [f"{run.job.node_id} -> gateway: {4 + 9 * chance(run.result_id, 'ping', i):.1f} ms" for i in range(30)]
    return "\n".join([*lines, ""]).encode()


_MAKERS: dict[str, Callable[[Run], bytes]] = {
    "combined.log": _combined,
    "screenshot.png": _screenshot,
    "stderr.log": _stderr,
    "stdout.log": _stdout,
    "thumbnail.jpg": _thumbnail,
    "video.mp4": _video,
    "zap-times.csv": _zap_times,
    "diagnostics/network during the test/ping.log": _network,
}


def _large_file(size: int) -> Iterator[bytes]:
    """`size` bytes that do not compress to nothing at once: every chunk begins with its number."""
    pattern = bytes(range(256)) * (_CHUNK // 256)
    for number, start in enumerate(range(0, size, _CHUNK)):
        yield (number.to_bytes(8, "big") + pattern[8:])[: size - start]


def large_log(size: int, start: float, timezone: tzinfo) -> Iterator[bytes]:
    """About `size` bytes of log lines, whole lines, a millisecond apart."""
    moment, number, written = datetime.fromtimestamp(start, timezone), 0, 0
    while written < size:
        lines: list[str] = []
        for _ in range(2000):
            number += 1
            moment += timedelta(milliseconds=1)
            stamp = moment.isoformat(timespec="microseconds")
            lines.append(f"{stamp} frame {number}: motion={number * 7919 % 1000 / 1000:.3f} black=false\n")
        chunk = "".join(lines).encode()
        written += len(chunk)
        yield chunk
