"""Every figure is the same from Parquet files and from PostgreSQL as from tables in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from testlab_tools.archive.parquet import ParquetStore
from testlab_tools.archive.schema import Run
from testlab_tools.archive.store import HistoryStore, HistoryView, open_store
from testlab_tools.models.lab import ResultModel
from testlab_tools.statistics.answer import Metric
from testlab_tools.statistics.flakiness import find_flaky
from testlab_tools.statistics.measurement_ranking import rank_measurements
from testlab_tools.statistics.measurements import MeasurementOrder, describe_measurement
from testlab_tools.statistics.revision_comparison import compare_revisions, of_revision
from testlab_tools.statistics.selection import RunFilter, newest_runs, resolve_names, services_with
from testlab_tools.statistics.summary import SummaryOrder, summarize
from tests.postgresql import fresh_database
from tests.tools.statistics.conftest import MakeView
from tests.tools.statistics.test_flow import failures_of
from tests.tools.statistics.test_measurements import measured, normal

EVERYTHING = RunFilter(["factory"], zone="Europe/Berlin")
KEY = "factory-1"


@pytest.fixture(params=["parquet", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HistoryStore]:
    if request.param == "parquet":
        opened = ParquetStore(tmp_path)
        yield opened
        opened.engine.close()
        return
    with fresh_database() as url:
        yield open_store(url)


async def figures(view: HistoryView) -> list[ResultModel | object]:
    """An answer of each kind."""
    found: list[ResultModel | object] = [
        await summarize(view, EVERYTHING, SummaryOrder(metric, group_by))
        for metric in get_args(Metric)
        for group_by in ("", "station", "hour", "week", "case", "reason")
        if (metric == "failures") == (group_by in ("case", "reason"))
    ]
    fvt = await resolve_names(view, EVERYTHING, {"test": "fvt", "station": "-0"})
    found.append(fvt)
    found += [await resolve_names(view, EVERYTHING, {"slot": text}) for text in ("straße 3", "STRASSE", "prüf", "Ñ")]
    found.append(await describe_measurement(view, fvt, MeasurementOrder("rail", lower=4.95)))
    found.append(await rank_measurements(view, fvt, MeasurementOrder("")))
    found.append(await find_flaky(view, EVERYTHING, 20, True))
    sides = [of_revision(EVERYTHING, [revision]) for revision in ("1.0", "1.1")]
    found.append(await compare_revisions(view, sides[0], sides[1]))
    return [*found, await newest_runs(view, fvt, 2), await services_with(view, fvt)]


def leaves(value: object, place: str = "") -> dict[str, object]:
    """What is in an answer, by its place: an engine may round the last digit otherwise."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, item in items for k, v in leaves(item, f"{place}/{name}").items()}
    return {place: value}


async def test_both_engines_give_the_figures_of_tables_in_memory(
    store: HistoryStore, line: list[Run], view_of: MakeView
) -> None:
    slots = ("Straße 3", "Strasse", "PRÜFPLATZ", "ñandú")
    line = [
        run._replace(slot=slots[n % 4], ended_as="fail" if run.station == "EOL-02" and n % 5 == 0 else run.ended_as)
        for n, run in enumerate(line)
    ]
    failures, _ = failures_of(line)
    _, values = measured(normal(len(line)))
    measurements = [
        value._replace(run_id=run.run_id, test=run.test, started_at=run.started_at)
        for value, run in zip(values, line, strict=True)
    ]
    async with store.write(KEY) as writer:
        await writer.append("runs", line)
        await writer.append("failures", failures)
        await writer.append("measurements", measurements)
        await writer.commit()
    expected = await figures(view_of(line, failures, measurements))
    for found, alike in zip(await figures(store.view([KEY])), expected, strict=True):
        assert leaves(found) == pytest.approx(leaves(alike), abs=2e-3)
