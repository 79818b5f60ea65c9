"""How long summaries of a large archive take: fills stores in a stream, and asks what the statistics tools ask.

    python -m tests.tools.archive.benchmark 10000 100000 1000000 [--folder DIR]

Each size is filled, and asked, in a process of its own, whose peak of memory is told. A question's time is the
least of three, of a process that has read the files once; `cpu` is what all threads of the process took together.
Growth is against the size before. With `--folder`, a store that is there already is not filled again. Where
TESTLAB_BENCH_DATABASE_URL leads to a PostgreSQL database, the same is done there, with a table of its own: the server's
processor time and memory are not in it. The histories are taken out of the database at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from testlab_tools.archive.schema import EndedAs, Failure, Measurement, Run
from testlab_tools.archive.store import HistoryStore, HistoryView, open_store
from testlab_tools.statistics.flakiness import find_flaky
from testlab_tools.statistics.measurement_ranking import rank_measurements
from testlab_tools.statistics.measurements import MeasurementOrder, describe_measurement
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.statistics.summary import SummaryOrder, summarize

ROOT = Path(__file__).parents[3]
DATABASE_URL = "TESTLAB_BENCH_DATABASE_URL"
END = datetime(2026, 11, 1, tzinfo=UTC)
SPAN = timedelta(days=730)
TESTS = ("PCB01", "PCB02", "Final", "Burn-in")
BATCH = 2_000
TIMES = 3
COMMIT = 40_000
"""Runs; of measurements, it is `--measurements` times as many."""


class Page(NamedTuple):
    """What a service might tell at once."""

    runs: list[Run]
    failures: list[Failure]
    measurements: list[Measurement]


def pages(count: int, measured: int) -> Iterator[Page]:
    """Runs from the newest back, as a service lists them; every unit passes through each test, one in ten again."""
    dice = random.Random(count)
    for first in range(0, count, BATCH):
        page = Page([], [], [])
        for number in range(first, min(count, first + BATCH)):
            _add_run(page, dice, number, count, measured)
        yield page


def _add_run(page: Page, dice: random.Random, number: int, count: int, measured: int) -> None:
    started = END - SPAN * (number / count)
    test, unit = TESTS[number % len(TESTS)], f"SN{int(number * 0.9) // len(TESTS):08}"
    ends: tuple[EndedAs, ...] = ("pass", "fail", "error", "timeout")
    end = dice.choices(ends, (93, 5, 1.5, 0.5))[0]
    run_id = f"factory:{dice.getrandbits(128):032x}"
    place = (f"station-{dice.randrange(8)}", f"slot-{number % 4}")
    part = ("PCB", "A", f"B{number // 1000}")
    page.runs.append(Run("factory", run_id, test, end, started, dice.gauss(60, 5), *place, unit, *part))
    if end != "pass":
        case = f"case-{min(dice.randrange(12), dice.randrange(12))}"
        reason = f"{case} is {dice.gauss(9, 1):.3f} V, above 5.000 V"
        page.failures.append(Failure("factory", run_id, test, started, case, reason, 1))
    for place in range(measured):
        value = dice.gauss(place, 0.25)
        outcome = "pass" if abs(value - place) < 1 else "fail"
        page.measurements.append(
            Measurement(
                *("factory", run_id, test, started, f"case-{place // 2}", f"measurement-{place}"),
                *(value, "", "V", place - 1.0, place + 1.0, outcome),
            )
        )


async def fill(store: HistoryStore, count: int, measured: int) -> dict[str, float]:
    """Seconds to generate the rows, to write them, and to add one more run."""
    await store.discard(key_of(count))
    generated, began, waiting = 0.0, time.perf_counter(), 0
    async with store.write(key_of(count)) as writer:
        source = pages(count, measured)
        while True:
            start = time.perf_counter()
            page = next(source, None)
            generated += time.perf_counter() - start
            if page is None or waiting >= COMMIT:
                writer.sync["runs"] = waiting
                await writer.commit()
                waiting = 0
            if page is None:
                break
            waiting += len(page.runs)
            await writer.append("runs", page.runs)
            await writer.append("failures", page.failures)
            await writer.append("measurements", page.measurements)
    filled = time.perf_counter() - began
    async with store.write(key_of(count)) as writer:
        (page,) = pages(1, measured)
        start = time.perf_counter()
        await writer.append("runs", page.runs)
        await writer.replace("measurements", page.measurements)
        await writer.commit()
    return {"generate s": generated, "write s": filled - generated, "one more run s": time.perf_counter() - start}


def questions(view: HistoryView) -> dict[str, Callable[[], Awaitable[object]]]:
    """By name, what is asked of all the history there is."""
    everything = RunFilter(["factory"])
    of_test = RunFilter(["factory"], {"test": [TESTS[0]]})
    week = RunFilter(["factory"], since=END - timedelta(days=7))
    return {
        "first-pass yield by station": lambda: summarize(view, everything, SummaryOrder("first_pass_yield", "station")),
        "first-pass yield by week": lambda: summarize(view, everything, SummaryOrder("first_pass_yield", "week")),
        "final yield by batch": lambda: summarize(view, everything, SummaryOrder("final_yield", "batch")),
        "rolled yield": lambda: summarize(view, everything, SummaryOrder("rolled_yield")),
        "runs by day": lambda: summarize(view, everything, SummaryOrder("runs", "day")),
        "runs of the last week": lambda: summarize(view, week, SummaryOrder("runs", "station")),
        "duration by test": lambda: summarize(view, everything, SummaryOrder("duration", "test")),
        "Pareto by case": lambda: summarize(view, everything, SummaryOrder("failures", "case")),
        "Pareto by reason": lambda: summarize(view, everything, SummaryOrder("failures", "reason")),
        "Pareto by measurement": lambda: summarize(view, everything, SummaryOrder("failures", "measurement")),
        "one measurement by station": lambda: describe_measurement(view, of_test, MeasurementOrder("measurement-3")),
        "one measurement, every run": lambda: describe_measurement(
            view, of_test, MeasurementOrder("measurement-3", attempts="every", group_by="batch")
        ),
        "all measurements, ranked": lambda: rank_measurements(view, of_test, MeasurementOrder("")),
        "flaky cases": lambda: find_flaky(view, everything, 20, False),
        "all measurements": lambda: view.rows(
            "SELECT test, name, count(*), avg(value), stddev_samp(value) FROM measurements GROUP BY test, name"
        ),
    }


async def ask(view: HistoryView) -> dict[str, float]:
    """Seconds that each question takes, and of all threads: the least of some, as other programs run beside it."""
    took: dict[str, float] = {}
    for name, question in questions(view).items():
        await question()
        times: list[tuple[float, float]] = []
        for _ in range(TIMES):
            start, cpu = time.perf_counter(), time.process_time()
            await question()
            times.append((time.perf_counter() - start, time.process_time() - cpu))
        took[f"{name} s"], took[f"{name} cpu"] = map(min, zip(*times, strict=True))
    return took


async def measure(part: str, folder: str, count: int, measured: int) -> dict[str, float]:
    """One part, with the peak of this process's memory; without a folder, in the database."""
    store = open_store(Path(folder) if folder else os.environ[DATABASE_URL])
    if part == "discard":
        await store.discard(key_of(count))
        return {}
    if part == "ask":
        figures = await ask(store.view([key_of(count)]))
    else:
        figures = await fill(store, count, measured)
        if size := (await store.read_state(key_of(count))).size_bytes:
            figures["disk MB"] = size / 1e6
    return figures | {f"{part} peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def run_part(part: str, folder: str, count: int, measured: int) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "tests.tools.archive.benchmark", str(count), "--part", part]
    command += ["--folder", folder, "--measurements", str(measured)]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


def key_of(count: int) -> str:
    """The history of so many runs."""
    return f"factory-{count}"


def show(columns: list[tuple[int, dict[str, float]]]) -> Iterator[str]:
    """A table of figures by size, with the growth from each size to the next."""
    yield "| | " + " | ".join(f"{count:,} runs" for count, _ in columns) + " | growth |"
    yield "|---" * (len(columns) + 2) + "|"
    for name in columns[-1][1]:
        figures = [column.get(name) for _, column in columns]
        cells = ["" if figure is None else f"{figure:.3g}" for figure in figures]
        known = [figure for figure in figures if figure]
        growth = ", ".join(f"×{later / before:.1f}" for before, later in pairwise(known))
        yield f"| {name} | {' | '.join(cells)} | {growth} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--folder", default="")
    parser.add_argument("--measurements", type=int, default=20, help="of each run")
    parser.add_argument("--part", choices=("fill", "ask", "discard"), help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.part:
        figures = asyncio.run(measure(given.part, given.folder, given.sizes[0], given.measurements))
        sys.stdout.write(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as temporary:
        report("Parquet", given.folder or temporary, given.sizes, given.measurements)
    if os.environ.get(DATABASE_URL):
        report("PostgreSQL", "", given.sizes, given.measurements)


def report(name: str, folder: str, sizes: Sequence[int], measured: int) -> None:
    """Measure a store at each size, and write its table."""
    columns: list[tuple[int, dict[str, float]]] = []
    try:
        for count in sizes:
            filled = bool(folder) and (Path(folder) / key_of(count)).exists()
            figures = {} if filled else run_part("fill", folder, count, measured)
            columns.append((count, figures | run_part("ask", folder, count, measured)))
    finally:
        for count in () if folder else sizes:
            run_part("discard", folder, count, measured)
    sys.stdout.write("\n".join([name, "", *show(columns), ""]) + "\n")


if __name__ == "__main__":
    main()
