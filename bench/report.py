"""The figures of all rounds as docs/benchmarks.md shows them: medians, and ratios round by round."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.measures import AT_ONCE, SESSIONS, Figures

BEGIN, END = "<!-- figures: begin, written by ./do bench -->", "<!-- figures: end -->"
QUIET = 0.3
"""Other programs' share of the processors, up to which a machine is quiet: a browser's tabs take less."""


class Round(NamedTuple):
    """What one round measured of each."""

    product: Figures
    plain: Figures
    raw: Figures


SPEED = {
    "start": "start to first `tools/list` (raw: `import httpx2`)",
    "first call": "start to a first tool's answer",
    "memory": "memory after the start",
    "one call": "one call, median",
    "at once": f"calls a second, {AT_ONCE} at once over stdio",
    "cpu": "processor time of 1,000 of them",
    "requests": "requests to the portal, each of them",
    "sessions": f"calls a second, {SESSIONS} sessions over HTTP",
    "sessions cpu": "processor time of 1,000 of them",
    "sessions memory": f"memory with {SESSIONS} sessions",
    "nodes": "a list of 50 nodes",
    "runs": "a list that 2,000 runs match",
    "screenshot": "a screenshot",
}
TOKENS = {
    "tokens of a node": "one node",
    "tokens of nodes": "50 nodes",
    "tokens of runs": "2,000 runs that match",
    "tokens of a tool": "a tool's definition, on average",
}
UNITS = {"memory": "MiB", "sessions memory": "MiB", "cpu": "s", "sessions cpu": "s", "start": "s", "first call": "s"}
PLAIN_NUMBERS = ("at once", "sessions", "requests", *TOKENS)


def render(rounds: Sequence[Round], others: float, now: datetime | None = None) -> str:
    """The section of docs/benchmarks.md. `others` is the share of the processors that other programs used."""
    day = (now or datetime.now(UTC)).date()
    busy = "**The machine was busy: only ratios mean anything, and they vary.** " if others > QUIET else ""
    machine = f"{os.cpu_count()} processors, Python {platform.python_version()}, {platform.system()}"
    head = (
        f"{day}, rounds: {len(rounds)}, {machine}. {busy}Other programs used {others:.0%} of the processors meanwhile."
    )
    speed = ["| | this server | plain | raw GET | to plain | to raw |", "| --- | --- | --- | --- | --- | --- |"]
    speed += [_row(rounds, name, label, ("plain", "raw")) for name, label in SPEED.items()]
    tokens = ["| | this server | plain | to plain |", "| --- | --- | --- | --- |"]
    tokens += [_row(rounds, name, label, ("plain",)) for name, label in TOKENS.items()]
    said = "What answers cost a model, in tokens (o200k) of their text:"
    return "\n".join((head, "", *speed, "", said, "", *tokens))


def _row(rounds: Sequence[Round], name: str, label: str, peers: Sequence[str]) -> str:
    cells = [_format(name, _median(rounds, of, name)) for of in ("product", *peers)]
    ratios = [_ratio(rounds, of, name) for of in peers]
    return "| " + " | ".join((label, *cells, *ratios)) + " |"


def _median(rounds: Sequence[Round], of: str, name: str) -> float | None:
    found = [figures[name] for figures in (getattr(each, of) for each in rounds) if name in figures]
    return statistics.median(found) if found else None


def _ratio(rounds: Sequence[Round], to: str, name: str) -> str:
    """The median of the rounds' own ratios: a slow minute slows both sides of one."""
    pairs = [(each.product[name], getattr(each, to).get(name)) for each in rounds]
    ratios = [ours / theirs for ours, theirs in pairs if theirs]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def _format(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name in PLAIN_NUMBERS:
        return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"
    if name in UNITS:
        return f"{value:.0f} MiB" if UNITS[name] == "MiB" else f"{value:.2f} s"
    return f"{value * 1000:.2f} ms" if value < 0.01 else f"{value * 1000:.0f} ms"


def fill(page: str, section: str) -> str:
    """The page with the section between its markers. Raises ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"no {BEGIN} … {END}")
    return f"{before}{begin}\n{section}\n{end}{after}"


def read_busy() -> tuple[float, float]:
    """Seconds that all processors, and all seconds that they, worked since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    total = sum(fields)
    return total - fields[3] - fields[4], total
