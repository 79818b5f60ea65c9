"""A process of its own that adds runs to a history, one a commit, each with two measurements: FOLDER KEY FIRST COUNT.

It says `committed N` after each. Files that no manifest names are removed at once.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from testlab_tools.archive import parquet_writer
from testlab_tools.archive.parquet import ParquetStore
from tests.tools.archive.conftest import measurement, run


async def write(folder: Path, key: str, first: int, count: int) -> None:
    parquet_writer.RETIRED_KEPT_S = 0.0
    store = ParquetStore(folder)
    for number in range(first, first + count):
        async with store.write(key, wait_s=60) as writer:
            await writer.append("runs", [run(number % 20, run_id=f"factory:{number}")])
            rows = [measurement(number % 20, name=name)._replace(run_id=f"factory:{number}") for name in ("a", "b")]
            await writer.append("measurements", rows)
            await writer.commit()
        sys.stdout.write(f"committed {number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
