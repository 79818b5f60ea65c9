"""Whether an audit is whole: each line its own, each the successor of the one before, the last the one its head names.

Not covered: lines after the last one that the head, or an anchor kept elsewhere, names; and a whole audit written anew
together with its head.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from testlab_mcp.audit.chain import START, Line, Link, opened
from testlab_mcp.audit.trail import LONGEST_LINE, head_of, parts_of

MOST_FINDINGS = 20


class Finding(NamedTuple):
    """What is wrong, and where: the line's place in its file, from 1; 0 for the file as a whole."""

    path: Path
    line: int
    what: str


@dataclass
class Verdict:
    """What was found. `notes` is what is no fault, but not proven either."""

    lines: int = 0
    last: Link = START
    findings: list[Finding] = field(default_factory=lambda: list[Finding]())
    notes: list[str] = field(default_factory=lambda: list[str]())
    unfinished: dict[str, int] = field(default_factory=lambda: dict[str, int]())


class _Raw(NamedTuple):
    path: Path
    number: int
    text: bytes
    ended: bool


def verify(path: Path, anchor: Link | None = None) -> Verdict:
    """Read a file and those it continues. `anchor` is a line known to be genuine, such as the last one of an earlier
    check: it must be in there, or be the one before the first."""
    verdict = Verdict()
    head = _head(path)
    met = anchor is None
    torn: _Raw | None = None
    for raw in _lines(path):
        line = opened(raw.text) if raw.ended else None
        if line is None:
            _complain(verdict, torn)
            torn = raw
            continue
        first = not verdict.lines
        if first and anchor is not None and line.prev == anchor.hash and line.link.seq == anchor.seq + 1:
            verdict.last, met = anchor, True
        _judge(verdict, raw, line, torn)
        torn = None
        met = met or line.link == anchor
        if head is not None and line.link.seq == head.seq and line.link != head:
            verdict.findings.append(Finding(raw.path, raw.number, "is not the line that the head names"))
    _complain(verdict, torn)
    _conclude(verdict, path, head, anchor if not met else None)
    return verdict


def _judge(verdict: Verdict, raw: _Raw, line: Line, torn: _Raw | None) -> None:
    """A line against the one before it; it is then the one before the next, whatever was wrong."""
    last = verdict.last
    what = ""
    if not line.genuine:
        what = "was altered"
    elif line.link.seq > last.seq + 1:
        what = f"has number {line.link.seq}: {line.link.seq - last.seq - 1} before it were removed"
    elif line.link.seq <= last.seq:
        what = f"has number {line.link.seq}: it was put in, or is out of order"
    elif line.prev != last.hash:
        what = "does not follow from the one before, which was exchanged or put in"
    if torn is not None and hashlib.sha256(torn.text).hexdigest() != line.said.get("after_torn"):
        _complain(verdict, torn)
    elif torn is None and "after_torn" in line.said and not what:
        what = "says that one was cut off before it, which is not there"
    elif torn is not None:
        verdict.notes.append(f"{torn.path.name}, line {torn.number}: a crash cut it off, as the next one says.")
    if what:
        verdict.findings.append(Finding(raw.path, raw.number, what))
    verdict.last = line.link
    verdict.lines += 1
    call = str(line.said.get("call"))
    if line.said.get("event") == "intent":
        verdict.unfinished[call] = line.link.seq
    else:
        verdict.unfinished.pop(call, None)


def _complain(verdict: Verdict, torn: _Raw | None) -> None:
    if torn is not None:
        what = "is not a line of an audit: altered or put in" if torn.ended else "was cut off"
        verdict.findings.append(Finding(torn.path, torn.number, what))


def _conclude(verdict: Verdict, path: Path, head: Link | None, unmet: Link | None) -> None:
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
        numbers = ", ".join(str(seq) for seq in list(verdict.unfinished.values())[:MOST_FINDINGS])
        verdict.notes.append(f"Begun and without an outcome (under way, or the server died): line {numbers}.")


def _lines(path: Path) -> Iterator[_Raw]:
    for part in parts_of(path):
        with part.open("rb") as file:
            number = 0
            while text := file.readline(LONGEST_LINE):
                number += 1
                yield _Raw(part, number, text.removesuffix(b"\n"), text.endswith(b"\n"))


def _head(path: Path) -> Link | None:
    try:
        return Link.parse(head_of(path).read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None
