"""What a folder of very many reports takes: its first look, a second start, a new file, questions, and memory.

    python -m tests.tools.adapters.folder.benchmark 1000 10000 100000 [--folder DIR]

Reports are those of one OpenHTF lot, each with a serial number and start of its own, 500 to a folder. Each size is read
in processes of its own, whose peak of memory is told, readers left out. Growth is against the size before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from testlab_tools.models.requests import RunQuery
from testlab_tools.services import load_kind

ROOT = Path(__file__).parents[4]
LOT = sorted((ROOT / "tests" / "samples" / "openhtf_lot").glob("*.json"))
IN_A_FOLDER = 500


def fill(folder: Path, count: int) -> None:
    """Write so many reports."""
    samples = [json.loads(path.read_text(encoding="utf-8")) for path in LOT]
    for number in range(count):
        report = samples[number % len(samples)]
        moved = report | {"dut_id": f"SN-{number:07}", "start_time_millis": 1_760_000_000_000 + number * 60_000}
        moved |= {"end_time_millis": moved["start_time_millis"] + 30_000}
        path = folder / f"{number // IN_A_FOLDER:04}" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(moved), encoding="utf-8")


async def read(folder: Path, index: Path, count: int) -> dict[str, float]:
    """Seconds until all is read, or known to be as it was; of questions; until a new file is seen."""
    kind = load_kind("folder")
    keys = {"kind": "folder", "path": [str(folder)], "index_folder": str(index)}
    service: Any = kind.connect("reports", kind.Settings.model_validate(keys))
    began, cpu = time.perf_counter(), time.process_time()
    while (page := await service.list_runs(RunQuery(), 20)).at_least:  # noqa: ASYNC110 - as a client would
        await asyncio.sleep(0.05)
    figures = {"all known s": time.perf_counter() - began, "all known, cpu s": time.process_time() - cpu}
    assert page.total == count, page
    await asyncio.sleep(2.5)  # until changes are heard of
    await service.list_runs(RunQuery(), 20)
    questions = {
        "newest 20 s": RunQuery(),
        "failed at a time s": RunQuery(outcome="fail"),
        "of a unit s": RunQuery(unit="SN-0000042"),
        "words s": RunQuery(text="dmm"),
    }
    for name, query in questions.items():
        start = time.perf_counter()
        await service.list_runs(query, 20)
        figures[name] = time.perf_counter() - start
    new = folder / "0000" / "new.json"
    new.write_text(LOT[0].read_text(encoding="utf-8").replace("SN-0000", "SN-NEW"), encoding="utf-8")
    start = time.perf_counter()
    while not (await service.list_runs(RunQuery(unit="SN-NEW"), 1)).runs:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    figures["new file seen s"] = time.perf_counter() - start
    new.unlink()
    while (await service.list_runs(RunQuery(unit="SN-NEW"), 1)).runs:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    await service.aclose()
    figures["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def run_part(folder: Path, index: Path, count: int) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "tests.tools.adapters.folder.benchmark", str(count), "--part"]
    command += [str(folder), str(index)]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


def measure(place: Path, count: int) -> dict[str, float]:
    """The figures of a size: those of the first start, then of the second."""
    folder, index = place / f"reports-{count}", place / f"index-{count}"
    fill(folder, count)
    first = run_part(folder, index, count)
    second = run_part(folder, index, count)
    size = sum(path.stat().st_size for path in index.iterdir()) / 1e6
    figures = {"first look s": first["all known s"], "files a second": count / first["all known s"]}
    figures |= {"second start s": second.pop("all known s"), "second start, cpu s": second.pop("all known, cpu s")}
    figures |= {**second, "first look, peak MB": first["peak MB"]}
    return figures | {"index MB": size}


def show(columns: list[tuple[int, dict[str, float]]]) -> Iterator[str]:
    """A table of figures by size, with the growth from each size to the next."""
    yield "| | " + " | ".join(f"{count:,} reports" for count, _ in columns) + " | growth |"
    yield "|---" * (len(columns) + 2) + "|"
    for name in columns[-1][1]:
        figures = [column[name] for _, column in columns]
        growth = ", ".join(f"×{later / before:.1f}" for before, later in pairwise(figures))
        yield f"| {name} | {' | '.join(f'{figure:.3g}' for figure in figures)} | {growth} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--folder", default="")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.part:
        folder, index = map(Path, given.part)
        sys.stdout.write(json.dumps(asyncio.run(read(folder, index, given.sizes[0]))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(given.folder or temporary)
        columns = [(count, measure(place, count)) for count in given.sizes]
    sys.stdout.write("\n".join(show(columns)) + "\n")


if __name__ == "__main__":
    main()
