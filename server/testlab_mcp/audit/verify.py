"""Verifies an audit: each line is unaltered and follows the line before, and the last is the one in the head file.

Not covered: lines after the last one that the head, or an anchor kept elsewhere, names; and an audit that was rewritten
together with its head.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from testlab_mcp.audit.chain import MAX_LINE_BYTES, START, ChainPosition, Line, decode_record, head_of, parts_of

MAX_FINDINGS = 20


class Finding(NamedTuple):
    """What is wrong, and the number of the line in its file, from 1; 0 for the whole file."""

    path: Path
    line: int
    what: str


@dataclass
class Verdict:
    """The result. `notes` are not faults, but cannot be proven; `unfinished` are the lines of intents by call."""

    lines: int = 0
    last: ChainPosition = START
    findings: list[Finding] = field(default_factory=list[Finding])
    notes: list[str] = field(default_factory=list[str])
    unfinished: dict[str, int] = field(default_factory=dict[str, int])


class _RawLine(NamedTuple):
    path: Path
    number: int
    text: bytes
    ended: bool


def verify(path: Path, anchor: ChainPosition | None = None) -> Verdict:
    """Verify a file and those that it continues. `anchor` is a position known to be right, such as the last of an
    earlier check: it must be in the audit, or precede its first line."""
    verdict = Verdict()
    head = _read_head(path)
    met = anchor is None
    torn: _RawLine | None = None
    for raw in _read_lines(path):
        line = decode_record(raw.text) if raw.ended else None
        if line is None:
            _report_torn(verdict, torn)
            torn = raw
            continue
        first = not verdict.lines
        if first and anchor is not None and line.prev == anchor.hash and line.position.seq == anchor.seq + 1:
            verdict.last, met = anchor, True
        _check_line(verdict, raw, line, torn)
        torn = None
        met = met or line.position == anchor
        if head is not None and line.position.seq == head.seq and line.position != head:
            verdict.findings.append(Finding(raw.path, raw.number, "is not the line that the head names"))
    _report_torn(verdict, torn)
    _conclude(verdict, path, head, anchor if not met else None)
    return verdict


def _check_line(verdict: Verdict, raw: _RawLine, line: Line, torn: _RawLine | None) -> None:
    """Compare a line with the line before it."""
    last = verdict.last
    what = ""
    if not line.intact:
        what = "was altered"
    elif line.position.seq > last.seq + 1:
        what = f"has number {line.position.seq}: {line.position.seq - last.seq - 1} before it were removed"
    elif line.position.seq <= last.seq:
        what = f"has number {line.position.seq}: it was put in, or is out of order"
    elif line.prev != last.hash:
        what = "does not follow from the one before, which was exchanged or put in"
    if torn is not None and hashlib.sha256(torn.text).hexdigest() != line.record.get("after_torn"):
        _report_torn(verdict, torn)
    elif torn is None and "after_torn" in line.record and not what:
        what = "says that one was cut off before it, which is not there"
    elif torn is not None:
        verdict.notes.append(f"{torn.path.name}, line {torn.number}: a crash cut it off, as the next one says.")
    if what:
        verdict.findings.append(Finding(raw.path, raw.number, what))
    verdict.last = line.position
    verdict.lines += 1
    call = str(line.record.get("call"))
    if line.record.get("event") == "intent":
        verdict.unfinished[call] = line.position.seq
    else:
        verdict.unfinished.pop(call, None)


def _report_torn(verdict: Verdict, torn: _RawLine | None) -> None:
    if torn is not None:
        what = "is not a line of an audit: altered or put in" if torn.ended else "was cut off"
        verdict.findings.append(Finding(torn.path, torn.number, what))


def _conclude(verdict: Verdict, path: Path, head: ChainPosition | None, unmet: ChainPosition | None) -> None:
    if unmet is not None:
        verdict.findings.append(Finding(path, 0, f"line {unmet.seq} of the anchor is not in it: removed or exchanged"))
    if head is None:
        if verdict.lines:
            verdict.notes.append("There is no head file: lines cut off at the end would not be seen.")
    elif head.seq > verdict.last.seq:
        missing = head.seq - verdict.last.seq
        verdict.findings.append(Finding(path, verdict.lines, f"is the last, but {missing} after it were removed"))
    elif head.seq < verdict.last.seq:
        verdict.notes.append(f"The head names line {head.seq}: those after it might have been put in.")
    if verdict.unfinished:
        numbers = ", ".join(str(seq) for seq in list(verdict.unfinished.values())[:MAX_FINDINGS])
        verdict.notes.append(f"Begun and without an outcome (under way, or the server died): line {numbers}.")


def _read_lines(path: Path) -> Iterator[_RawLine]:
    for part in parts_of(path):
        with part.open("rb") as file:
            number = 0
            while text := file.readline(MAX_LINE_BYTES):
                number += 1
                yield _RawLine(part, number, text.removesuffix(b"\n"), text.endswith(b"\n"))


def _read_head(path: Path) -> ChainPosition | None:
    try:
        return ChainPosition.parse(head_of(path).read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None
