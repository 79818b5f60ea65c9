"""A history in memory, in DuckDB, and seeded worlds to fill it with."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from testlab_tools.archive.schema import ROWS, Failure, Measurement, Run, Table, clean, columns
from testlab_tools.archive.store import as_plain, bind, with_tables
from tests.tools.statistics.references import duckdb

START = datetime(2026, 8, 1, 6, tzinfo=UTC)


class MemoryView:
    """A HistoryView over three tables in memory."""

    def __init__(self, runs: Iterable[Run], failures: Iterable[Failure], measurements: Iterable[Measurement]) -> None:
        self._database = duckdb.connect()
        given: dict[Table, Iterable[Any]] = {"runs": runs, "failures": failures, "measurements": measurements}
        for table, rows in given.items():
            self._fill(table, clean(table, rows))
        self.asked: list[str] = []

    def _fill(self, table: Table, cells: Mapping[str, Sequence[Any]]) -> None:
        typed = ", ".join(f"{name} {sql_type}" for name, sql_type in columns(table).items())
        self._database.execute(f"CREATE TABLE {table}_held ({typed})")
        if cells["run_id"]:
            import pandas

            self._database.register("frame", pandas.DataFrame(cells))
            selected = ", ".join(f"CAST({name} AS {sql_type})" for name, sql_type in columns(table).items())
            self._database.execute(f"INSERT INTO {table}_held SELECT {selected} FROM frame")
            self._database.unregister("frame")

    async def rows(self, sql: str, params: Mapping[str, object] = {}) -> list[tuple[Any, ...]]:
        return self._ask("", sql, params)

    @asynccontextmanager
    async def keep(self, name: str, sql: str, params: Mapping[str, object] = {}) -> AsyncGenerator[MemoryView]:
        self._ask(f"CREATE TEMP TABLE {name} AS ", sql, params)
        try:
            yield self
        finally:
            self._database.execute(f"DROP TABLE {name}")

    def _ask(self, what: str, sql: str, params: Mapping[str, object]) -> list[tuple[Any, ...]]:
        self.asked.append(sql)
        tables: dict[Table, str] = {table: f"SELECT * FROM {table}_held" for table in ROWS}
        return as_plain(self._database.execute(what + with_tables(sql, tables), bind(sql, params)).fetchall())


class MakeView(Protocol):
    """Makes a history of rows."""

    def __call__(
        self, runs: Iterable[Run], failures: Iterable[Failure] = (), measurements: Iterable[Measurement] = ()
    ) -> MemoryView: ...


@pytest.fixture(scope="session")
def view_of() -> MakeView:
    """A history in memory of these rows."""
    return lambda runs, failures=(), measurements=(): MemoryView(runs, failures, measurements)


@pytest.fixture(scope="session")
def line() -> list[Run]:
    """A production line of a seeded world."""
    return make_line(random.Random(4))


def make_line(rng: random.Random, units: int = 600) -> list[Run]:
    """Units through two tests on three stations each, with errors, retests, samples and runs without a unit."""
    runs: list[Run] = []

    def run(test: str, unit: str, at: datetime, ended_as: Any, **told: Any) -> None:
        told = {"duration_s": round(rng.gauss(60, 5), 3), "part": "BOX", "part_revision": "A", **told}
        told |= {"unit": unit, "station": f"{test}-0{rng.randint(1, 3)}", "revision": "1.0" if at < middle else "1.1"}
        runs.append(Run("factory", f"factory:{len(runs)}", test, ended_as, at, **told))

    middle = START + timedelta(minutes=20 * units / 2)
    for number in range(units):
        at = START + timedelta(minutes=20 * number)
        for test, bad in (("FVT", 0.08), ("EOL", 0.12)):
            for _ in range(2):
                at += timedelta(minutes=rng.uniform(5, 50))
                draw = rng.random()
                end = "error" if draw < 0.02 else "aborted" if draw < 0.03 else "fail" if draw < bad + 0.03 else "pass"
                run(test, f"SN{number:05d}", at, end, batch=f"LOT-{number // 100}")
                if end == "pass":
                    break
        if number % 50 == 0:
            run("FVT", "GOLD", at, rng.choice(["pass", "fail"]), sample="golden")
            run("EOL", "", at, "pass")
            run("EOL", f"SN{number:05d}", at, "skip", batch=f"LOT-{number // 100}")
    rng.shuffle(runs)
    return runs
