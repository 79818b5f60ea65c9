"""Stores of history, on both engines, and rows to fill them with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from testlab_tools.archive.parquet import ParquetStore
from testlab_tools.archive.schema import Failure, Measurement, Run
from testlab_tools.archive.store import HistoryStore, open_store
from tests.postgresql import fresh_database

START = datetime(2026, 1, 15, tzinfo=UTC)
KEY = "factory-1f2e"


@pytest.fixture
def parquet(tmp_path: Path) -> Iterator[ParquetStore]:
    store = ParquetStore(tmp_path / "a [strange] folder's name")
    yield store
    store.engine.close()


@pytest.fixture(params=["parquet", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[HistoryStore]:
    if request.param == "parquet":
        yield request.getfixturevalue("parquet")
        return
    with fresh_database() as url:
        yield open_store(url)


def run(number: int, **told: object) -> Run:
    """A run that passed, one a day from START on; its measurements and failures have the same number."""
    made = Run("factory", f"factory:{number}", "PCB01", "pass", START + timedelta(days=number))
    return made._replace(**told)


def failure(number: int, case_name: str = "power") -> Failure:
    return Failure("factory", f"factory:{number}", "PCB01", START + timedelta(days=number), case_name, "too low", 2)


def measurement(number: int, value: float | None = 1.5, name: str = "voltage", text: str = "") -> Measurement:
    started = START + timedelta(days=number)
    return Measurement(
        "factory", f"factory:{number}", "PCB01", started, "power", name, value, text, "V", 1.0, 2.0, "pass"
    )


async def fill(store: HistoryStore, count: int, key: str = KEY) -> None:
    """Runs, a measurement of each, and a failure of every tenth."""
    async with store.write(key) as writer:
        failing = range(0, count, 10)
        stations = ("north", "south", "west")
        await writer.append(
            "runs",
            [
                run(
                    n,
                    ended_as="fail" if n % 10 == 0 else "pass",
                    station=stations[n % 3],
                    duration_s=n / 4,
                    unit=f"SN{n // 2}",
                )
                for n in range(count)
            ],
        )
        await writer.append("failures", map(failure, failing))
        await writer.append("measurements", [measurement(n, 1 + n / 100) for n in range(count)])
        await writer.commit()
