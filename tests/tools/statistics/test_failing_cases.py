"""What a group that differs fails at: the planted case is named, alone, and where nothing is planted nothing is."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from testlab_tools.archive.schema import Failure, Measurement, Run
from testlab_tools.statistics.comparison import ALPHA
from testlab_tools.statistics.measurement_ranking import rank_measurements
from testlab_tools.statistics.measurements import MeasurementOrder, describe_measurement
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.statistics.summary import SummaryOrder, summarize
from tests.tools.statistics.conftest import START, MakeView, MemoryView
from tests.tools.statistics.references import numpy, stats

FVT = RunFilter(["factory"], {"test": ["FVT"]})
NAMES = [f"rail_{n}" for n in range(8)]


def made(
    count: int = 900, spread: float = 0.0, bad: str = "rail_3", seed: int = 1
) -> tuple[list[Run], list[Failure], list[Measurement]]:
    """Runs at three stations, each of another unit, that measure eight rails between 4 and 6 V; at station C the
    `bad` one lies `spread` higher."""
    rng = random.Random(seed)
    runs: list[Run] = []
    failures: list[Failure] = []
    measured: list[Measurement] = []
    for n in range(count):
        station, at = "ABC"[n % 3], START + n * timedelta(minutes=30)
        key = ("factory", f"factory:{n}", "FVT")
        failed = False
        for name in NAMES:
            value = rng.gauss(5, 0.42) + (spread if station == "C" and name == bad else 0)
            good = 4 <= value <= 6
            failed |= not good
            place = (*key, at, f"power {name}", name)
            measured.append(Measurement(*place, value, "", "V", 4.0, 6.0, "pass" if good else "fail"))
            if not good:
                failures.append(Failure(*key, at, f"power {name}", f"{name} {value:.3f} V is not between 4 and 6 V", 1))
        runs.append(Run(*key, "fail" if failed else "pass", at, 60.0, station, unit=f"U{n}", batch=f"B{n // 300}"))
    return runs, failures, measured


def view_of_world(view_of: MakeView, **told: object) -> MemoryView:
    return view_of(*made(**told))  # type: ignore[arg-type]


async def test_a_bad_station_is_said_to_fail_at_its_bad_case_which_explains_it(view_of: MakeView) -> None:
    view = view_of_world(view_of, spread=0.6)
    found = await summarize(view, FVT, SummaryOrder("first_pass_yield", "station"))
    (row,) = [row for row in found.rows if row.differs]
    assert row.group == "C"
    assert row.differs.startswith("worse than the rest (p < 0.0001)")
    assert "without the runs that fail there (fails_at), no difference is shown" in row.differs
    assert [text.partition(":")[0] for text in row.fails_at] == ["power rail_3"]
    assert "is not between 4 and 6 V" in row.fails_at[0]


async def test_of_several_tests_each_is_looked_at_alone(view_of: MakeView) -> None:
    runs, failures, _ = made(spread=0.6)
    others = made(seed=2)
    runs += [run._replace(test="EOL", run_id=f"{run.run_id}b") for run in others[0]]
    failures += [one._replace(test="EOL", run_id=f"{one.run_id}b") for one in others[1]]
    found = await summarize(view_of(runs, failures), replace(FVT, names={}), SummaryOrder("runs", "station"))
    assert [(row.test, row.group, len(row.fails_at)) for row in found.rows if row.differs] == [("FVT", "C", 1)]


async def test_a_station_that_ends_in_errors_is_said_to_by_their_reason(view_of: MakeView) -> None:
    runs, failures, _ = made()
    for n in range(2, 900, 21):
        runs[n] = runs[n]._replace(ended_as="error")
        failures = [one for one in failures if one.run_id != f"factory:{n}"]
        failures.append(Failure("factory", f"factory:{n}", "FVT", START, "connect", "DMM not responding", 1))
    found = await summarize(view_of(runs, failures), FVT, SummaryOrder("first_pass_yield", "station"))
    (row,) = [row for row in found.rows if row.differs]
    assert (row.group, row.fails_at) == ("C", ["connect: DMM not responding"])
    assert row.differs.startswith("more error, timeout or aborted than the rest")


async def test_the_ranking_has_the_measurement_in_which_the_station_differs_first(view_of: MakeView) -> None:
    view = view_of_world(view_of, spread=0.6)
    found = await rank_measurements(view, FVT, MeasurementOrder(""))
    assert found.groups == 8
    first, *rest = found.rows
    assert (first.measurement, first.case) == ("rail_3", "power rail_3")
    (group,) = first.groups
    assert group.group == "C"
    assert group.differs.startswith("higher mean than the rest (p < 0.0001); fails more than the rest (p < 0.0001)")
    assert not any(row.groups for row in rest)
    assert [row.ppk[0] for row in rest] == sorted(row.ppk[0] for row in rest)


async def test_what_drifts_to_its_limit_ranks_before_what_only_varies(view_of: MakeView) -> None:
    rng = random.Random(8)
    runs: list[Run] = []
    rows: list[Measurement] = []
    for n in range(300):
        at = START + timedelta(hours=n)
        runs.append(Run("factory", f"factory:{n}", "FVT", "pass", at, 60.0, "A", unit=f"U{n}"))
        for name, value in (("drifts", 4.85 + n * 0.001 + rng.gauss(0, 0.004)), ("varies", rng.gauss(5.0, 0.04))):
            key = ("factory", f"factory:{n}", "FVT", at, "power", name)
            rows.append(Measurement(*key, value, units="V", low=4.8, high=5.2, outcome="pass"))
    ranked = (await rank_measurements(view_of(runs, (), rows), FVT, MeasurementOrder(""))).rows
    assert [row.measurement for row in ranked] == ["drifts", "varies"]
    assert ranked[0].cpk[0] > 3 > 1 > ranked[0].ppk[0]
    assert ranked[0].ppk[0] < ranked[1].ppk[0] < ranked[1].cpk[0] + 0.5


async def test_figures_of_the_ranking_are_those_of_the_measurement_asked_alone(view_of: MakeView) -> None:
    view = view_of_world(view_of)
    ranking = await rank_measurements(view, FVT, MeasurementOrder("", limit=3))
    assert "3 of 8 measurements are shown (limit)." in ranking.note
    assert "No difference is shown." in ranking.note
    for row in ranking.rows:
        alone = await describe_measurement(view, FVT, MeasurementOrder(row.measurement))
        assert alone.capability is not None
        assert (row.n, row.mean, row.sd, row.failed) == (alone.n, alone.mean, alone.sd, alone.failed)
        assert (row.cpk, row.ppk, row.marginal) == (alone.capability.cpk, alone.capability.ppk, alone.marginal)


async def test_the_groups_of_the_ranking_differ_by_scipys_tests_holm_corrected(view_of: MakeView) -> None:
    runs, failures, measured = made(600, 0.12)
    found = await rank_measurements(view_of(runs, failures, measured), FVT, MeasurementOrder(""))
    values = {
        (name, station): numpy.array(
            [
                one.value
                for one, run in zip(measured[NAMES.index(name) :: 8], runs, strict=True)
                if run.station == station
            ]
        )
        for name in NAMES
        for station in "ABC"
    }
    least = 1.0
    for name in NAMES:
        for station in "ABC":
            rest = numpy.concatenate([values[name, other] for other in "ABC" if other != station])
            sides = (values[name, station], rest)
            tests: list[Any] = [stats.ttest_ind(*sides, equal_var=equal) for equal in (True, False)]
            both = [float(test.pvalue) for test in tests]
            least = min(least, max(both))
    shown = any("mean than the rest" in group.differs for row in found.rows for group in row.groups)
    assert shown == (least * 48 < ALPHA)
    assert "48 comparisons" in found.note


async def test_parts_with_different_limits_have_no_capability_and_texts_are_ranked_by_their_failures(
    view_of: MakeView,
) -> None:
    runs, _, measured = made(60)
    runs = [run._replace(part="X" if n % 2 else "Y") for n, run in enumerate(runs)]
    measured = [one._replace(low=3.0) if one.name == "rail_0" and int(one.run_id[8:]) % 2 else one for one in measured]
    texts = [
        one._replace(name="version", case_name="boot", value=None, text="1.4", outcome="fail")
        for one in measured
        if one.name == "rail_0"
    ]
    found = await rank_measurements(view_of(runs, (), [*measured, *texts]), FVT, MeasurementOrder(""))
    rows = {row.measurement: row for row in found.rows}
    assert (rows["rail_0"].lower, rows["rail_0"].cpk, rows["rail_0"].marginal) == (None, [], None)
    assert (rows["version"].n, rows["version"].judged, rows["version"].failed) == (0, 60, 60)
    assert [row.measurement for row in found.rows][-2:] == ["version", "rail_0"]
    none = await rank_measurements(view_of(runs), FVT, MeasurementOrder(""))
    assert (none.rows, none.note) == ([], "No run that matches has a measurement.")


@pytest.mark.parametrize("kind", ["ranking", "summary"])
async def test_where_nothing_is_planted_hardly_any_world_names_anything(view_of: MakeView, kind: str) -> None:
    alarms = 0
    for seed in range(40):
        view = view_of_world(view_of, count=150, seed=seed)
        if kind == "ranking":
            ranking = await rank_measurements(view, FVT, MeasurementOrder(""))
            alarms += any(row.groups for row in ranking.rows)
        else:
            summary = await summarize(view, FVT, SummaryOrder("first_pass_yield", "station"))
            alarms += any(row.fails_at for row in summary.rows)
    assert alarms <= int(stats.binom.ppf(0.999, 40, ALPHA))
