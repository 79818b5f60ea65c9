"""What a run leaves: its files by name, bytes, size and md5, its traceback and its timestamped log, made on demand and
the same each time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from testlab_sim.seeded_random import chance
from testlab_sim.stbtester.jobs import Run
from testlab_sim.stbtester.screens import Screen, jpeg, png, screen_of
from testlab_sim.stbtester.service import Refusal

_KEPT = 64
_CHUNK = 1 << 18
_OPENING_KEY = {
    "home": "KEY_HOME",
    "settings": "KEY_MENU",
    "epg": "KEY_EPG",
    "live": "KEY_CHANNELUP",
    "player": "KEY_PLAY",
    "search": "KEY_SEARCH",
    "standby": "KEY_POWER",
}


class Artifacts:
    """The files of each run; sizes and sums are remembered."""

    def __init__(self) -> None:
        self._facts: dict[tuple[str, str], dict[str, Any]] = {}
        self._large: dict[tuple[str, str], int] = {}

    def names(self, run: Run) -> list[str]:
        given = [name for result_id, name in self._large if result_id == run.result_id and name != "stbt.log"]
        return list(dict.fromkeys([*_MAKERS, *given]))

    def enlarge(self, run: Run, name: str, size: int) -> None:
        """Make one file of a run `size` bytes long: a new one, or one in place of its own."""
        self._large[run.result_id, name] = size
        self._facts.pop((run.result_id, name), None)

    def large(self, run: Run, name: str) -> int | None:
        """The size a file was enlarged to."""
        return self._large.get((run.result_id, name))

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
        return [content(run, name)] if size is None else _large_file(size)


@lru_cache(maxsize=_KEPT)
def content(run: Run, name: str) -> bytes:
    """A file of a run, as the run left it."""
    return _MAKERS[name](run)


def _final_screen(run: Run) -> Screen:
    """What the device showed when the run ended."""
    case = run.job.revision.cases.get(run.test_case)
    return screen_of(case.screen if case else "home", run.result_id, run.end, 1.0, run.outcome.failure)


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


def _network(run: Run) -> bytes:
    lines = [f"{run.job.node_id} -> gateway: {4 + 9 * chance(run.result_id, 'ping', i):.1f} ms" for i in range(30)]
    return "\n".join([*lines, ""]).encode()


_MAKERS: dict[str, Callable[[Run], bytes]] = {
    "combined.log": lambda run: log_of(run, UTC).encode(),
    "screenshot.png": lambda run: png(_final_screen(run)),
    "stderr.log": _stderr,
    "stdout.log": _stdout,
    "thumbnail.jpg": lambda run: jpeg(_final_screen(run)),
    "video.mp4": _video,
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


def zone(name: str) -> tzinfo:
    """A time zone of the Olson database; 400 if there is none of that name."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Refusal(400, f"Invalid tz {name!r}") from None


def traceback_of(run: Run) -> str | None:
    """Python's traceback of the exception that ended the run; None if it passed."""
    failure = run.outcome.failure
    if failure is None:
        return None
    file, _, function = run.test_case.partition("::")
    frames = ['  File "/usr/lib/python3/dist-packages/_stbt/stbt_run.py", line 88, in main\n    test_function.call()']
    if run.test_case in run.job.revision.cases:
        line = 12 + int(chance(file, function) * 160)
        frames.append(f'  File "/var/lib/stbt/test-pack/{file}", line {line}, in {function}\n    {failure.line}')
    else:
        frames.append(f'  File "/usr/lib/python3/dist-packages/_stbt/imports.py", line 41, in load\n    {failure.line}')
    raised = f"{failure.exception}: {failure.message}"
    return "\n".join(["Traceback (most recent call last):", *frames, raised])


def log_of(run: Run, timezone: tzinfo) -> str:
    """The lines of `stbt.log`: an ISO 8601 time in `timezone`, a space, the message."""
    stamped: list[str] = []
    for moment, message in log_lines(run):
        stamp = datetime.fromtimestamp(moment, timezone).isoformat(timespec="microseconds")
        stamped.append(f"{stamp} {message}\n")
    return "".join(stamped)


def log_lines(run: Run) -> list[tuple[float, str]]:
    """(seconds since the epoch, message), spread over the run in order."""
    opening, steps, closing = _opening(run), _steps(run), _closing(run)
    span = max(run.end - run.start, 0.01)
    timed = [(run.start + 0.0004 * span * i, text) for i, text in enumerate(opening)]
    begin, finish = run.start + 0.02 * span, run.end - 0.01 * span
    for i, text in enumerate(steps):
        wobble = 0.4 * chance(run.result_id, i)
        timed.append((begin + (finish - begin) * (i + wobble) / len(steps), text))
    timed += [(finish + 0.0002 * span * i, text) for i, text in enumerate(closing)]
    return timed


def _opening(run: Run) -> list[str]:
    file, _, function = run.test_case.partition("::")
    return [
        "stbt-run: Arguments:",
        f"control: lirc::{run.job.remote_control or 'stb4k'}",
        f"args: ['{function}']",
        "verbose: 1",
        "source_pipeline: v4l2src device=/dev/stbt-hdmi0 ! video/x-raw,framerate=25/1,width=1280,height=720",
        f"script: /var/lib/stbt/test-pack/{file}",
        "sink_pipeline: fakesink sync=false",
        "save_video: video.mp4",
        f"stbt-run: test_pack_sha: {run.job.revision.sha}",
        "stbt-run: Saving video to 'video.mp4'",
    ]


def _steps(run: Run) -> list[str]:
    case = run.job.revision.cases.get(run.test_case)
    if case is None:
        return ["stbt-run: Loading test script"]
    lines = ["Pressed KEY_HOME", "wait_for_match: Waiting for images/home/logo.png"]
    key = _OPENING_KEY.get(case.screen, "KEY_OK")
    for step in range(max(2, min(400, int(case.seconds / 3)))):
        score = 0.97 + 0.03 * chance(run.result_id, "score", step)
        y = int(chance(run.result_id, "y", step) * 600)
        lines.append(f"Pressed {key if step % 3 == 0 else 'KEY_DOWN' if step % 3 == 1 else 'KEY_OK'}")
        lines.append(
            f"wait_for_match: Match found: MatchResult(match=True, region=Region(x=82, y={y}, width=212, height=54), "
            f"first_pass_result={score:.6f}, image='images/{case.screen}/step-{step + 1}.png')"
        )
    return lines


def _closing(run: Run) -> list[str]:
    if run.outcome.failure is None:
        return [f"stbt-run: {run.test_case}: PASS"]
    verdict = run.outcome.result.upper()
    return [
        *(traceback_of(run) or "").splitlines(),
        f"stbt-run: {run.test_case}: {verdict}: {run.outcome.failure.message}",
    ]
