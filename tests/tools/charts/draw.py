"""`python -m tests.tools.charts.draw FOLDER [NAME…]`: draws every sample, or those named, to be looked at."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.tools.charts.samples import SAMPLES


def main(folder: str, *names: str) -> None:
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    for name in names or SAMPLES:
        begun = time.perf_counter()
        chart = SAMPLES[name]()
        took = time.perf_counter() - begun
        (out / f"{name}.png").write_bytes(chart.png)
        (out / f"{name}.svg").write_bytes(chart.svg)
        sys.stdout.write(
            f"{name:28} PNG {len(chart.png) / 1024:6.1f} kB  SVG {len(chart.svg) / 1024:6.1f} kB  {took:5.2f} s\n"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
