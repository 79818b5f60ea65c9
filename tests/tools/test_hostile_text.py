"""Patterns that meet foreign text read a megabyte of what is worst for them: one that is quadratic takes minutes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

PROGRAM = """
import json, sys, traceback
from testlab_mcp.audit.record import redact
from testlab_tools import limits, times, token_estimate as tokens, untrusted
from testlab_tools.errors import LabError
from testlab_tools.triage import causes
from testlab_tools.recording.import_report import _ENCODING
from testlab_tools.adapters.tofupilot.v1_models import V1Created

def read_all(text):
    untrusted.sanitize(text)
    untrusted.shorten(text)
    for size in (len(text), limits.MAX_CHARS):
        limits.Limits.parse(text[:size])
    causes.normalise(text)
    causes.read_fault(text, True)
    tokens.estimate_tokens(text)
    V1Created(message=text).key
    redact({"argument": text})
    _ENCODING.sub(r"\\1", "<?xml " + text)
    for read in (lambda: times.parse_time(text, "since"), lambda: times.seconds(text)):
        try:
            read()
        except (ValueError, LabError):
            pass

for line in sys.stdin:
    piece, count = json.loads(line)
    try:
        read_all(piece * (count // len(piece)))
        print("read", flush=True)
    except Exception:
        print(json.dumps(traceback.format_exc()[-2000:]), flush=True)
"""
PIECES = [
    "http://",
    "http://a/runs/",
    "\x1b]",
    "\x1b[",
    "\x9b0",
    "\x1bP",
    " at 0x1",
    "< of ",
    "a ",
    "a",
    "1",
    "1a",
    "-",
]
PIECES += [
    "token ",
    "token=",
    "://a:",
    "' is equal to '",
    "node ",
    "gpib::",
    " encoding=",
    " encoding='",
    "\\",
    "P1",
    "/a.",
    "SN-",
]


class Reader:
    """A process with our patterns, made anew when it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def read(self, piece: str, length: int, seconds: float) -> str:
        """Have every pattern read a text; "read", what went wrong, or nothing if it takes longer than `seconds`."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
        process = self._process
        assert process.stdin
        assert process.stdout
        guard = threading.Timer(seconds, process.kill)
        guard.start()
        process.stdin.write(f"{json.dumps([piece, length])}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        guard.cancel()
        return answer.strip()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


@pytest.mark.parametrize("piece", PIECES)
def test_every_pattern_reads_a_megabyte_of_it_in_linear_time(piece: str, reader: Reader) -> None:
    assert reader.read(piece, 1_000_000, seconds=60) == "read"
