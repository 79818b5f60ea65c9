"""`./do bench`: measures this server, a plain one and raw GETs in turns, and writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from bench.growth import measure_growth, render_growth
from bench.measures import Figures, Peer, Size, make_plain, make_product, measure_peer, measure_raw
from bench.processes import ROOT, run_upstream, write_config
from bench.report import Round, fill, read_busy, render

PAGE = ROOT / "docs/benchmarks.md"


def main() -> int:
    """The first argument is the plain server's Python, which `./do bench` installs."""
    parser = argparse.ArgumentParser(prog="./do bench", description=__doc__)
    parser.add_argument("peer_python", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which all are measured in turn (5)")
    parser.add_argument("--print", action="store_true", help="print the figures, and leave docs/benchmarks.md as it is")
    args = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("it reads memory and processor time from /proc, which Linux alone has")
    section = measure(args.peer_python, args.rounds)
    print(section)
    if not args.print:
        PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), section), encoding="utf-8")
    return 0


def measure(peer_python: Path, count: int) -> str:
    """All rounds, each in another order; what other programs used is told from what the machine did meanwhile."""
    (busy, total), own = read_busy(), _own_ticks()
    with tempfile.TemporaryDirectory() as folder, run_upstream() as url:
        config = write_config(Path(folder), url)
        peers = {"product": make_product(Path(sys.executable), config), "plain": make_plain(peer_python, url)}
        rounds = [_measure_round(peers, peer_python, url, number) for number in range(count)]
    (busy_after, total_after), own_after = read_busy(), _own_ticks()
    growth = render_growth(measure_growth(Path(sys.executable)))
    others = (busy_after - busy - (own_after - own)) / (total_after - total)
    return f"{render(rounds, max(0.0, others))}\n\n{growth}"


def _measure_round(peers: dict[str, Peer], peer_python: Path, url: str, number: int) -> Round:
    order = ["product", "plain", "raw"]
    random.Random(number).shuffle(order)
    figures: dict[str, Figures] = {}
    for name in order:
        print(f"round {number + 1}: {name}", file=sys.stderr, flush=True)
        if name == "raw":
            figures[name] = measure_raw(peer_python, url, Size())
        else:
            figures[name] = asyncio.run(measure_peer(peers[name], url, Size()))
    return Round(**figures)


def _own_ticks() -> float:
    """Processor time of this process and of those it started that have ended, in the machine's ticks."""
    return sum(os.times()[:4]) * os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
