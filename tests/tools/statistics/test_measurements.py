"""A measurement's figures against numpy, scipy and statsmodels on the same values; drift, limits and what-if."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from testlab_tools.archive.schema import Measurement, Run
from testlab_tools.statistics.measurement_answer import MeasurementStats
from testlab_tools.statistics.measurements import MeasurementOrder, describe_measurement
from testlab_tools.statistics.selection import RunFilter
from tests.tools.statistics.conftest import START, MakeView, MemoryView
from tests.tools.statistics.references import numpy, proportion, stats

FVT = RunFilter(["factory"], {"test": ["FVT"]})
ORDER = MeasurementOrder("rail")
STEP = timedelta(hours=1)


def measured(
    values: Sequence[float],
    limits: Callable[[int], tuple[float | None, float | None]] = lambda n: (4.8, 5.2),
    stations: Sequence[str] = ("A",),
) -> tuple[list[Run], list[Measurement]]:
    """A run an hour, each of another unit, with one value of `rail`."""
    runs: list[Run] = []
    rows: list[Measurement] = []
    for n, value in enumerate(values):
        low, high = limits(n)
        good = (low is None or value >= low) and (high is None or value <= high)
        end = "pass" if good else "fail"
        place = stations[n % len(stations)]
        runs.append(Run("factory", f"factory:{n}", "FVT", end, START + n * STEP, 60.0, place, unit=f"U{n}"))
        key = ("factory", f"factory:{n}", "FVT", START + n * STEP, "power", "rail")
        rows.append(Measurement(*key, value, units="V", low=low, high=high, outcome=end))
    return runs, rows


def view_of_values(view_of: MakeView, *args: object, **told: object) -> MemoryView:
    runs, rows = measured(*args, **told)  # type: ignore[arg-type]
    return view_of(runs, (), rows)


def normal(n: int, mean: float = 5.0, sd: float = 0.05, seed: int = 3) -> list[float]:
    rng = random.Random(seed)
    return [round(rng.gauss(mean, sd), 6) for _ in range(n)]


async def asked(view: MemoryView, order: MeasurementOrder = ORDER) -> MeasurementStats:
    return await describe_measurement(view, FVT, order)


async def test_the_numbers_are_those_of_numpy_and_scipy(view_of: MakeView) -> None:
    values = normal(500)
    found = await asked(view_of_values(view_of, values))
    assert found.n == 500
    assert found.mean == pytest.approx(numpy.mean(values), rel=1e-5)
    assert found.sd == pytest.approx(numpy.std(values, ddof=1), rel=1e-5)
    bound = stats.t.interval(0.95, 499, numpy.mean(values), stats.sem(values))
    assert found.mean_interval == pytest.approx(bound, rel=1e-5)
    quantiles = numpy.quantile(values, [0, 0.05, 0.5, 0.95, 1])
    assert list(found.quantiles.values()) == pytest.approx(quantiles, rel=1e-5)
    passed = sum(4.8 <= value <= 5.2 for value in values)
    assert (found.passed, found.failed) == (passed, 500 - passed)
    assert found.interval == pytest.approx(proportion.proportion_confint(passed, 500, method="wilson"), abs=1e-4)
    middle = float(numpy.median(values))
    marginal = [v for v in values if 5.2 - 0.1 * (5.2 - middle) < v <= 5.2 or 4.8 <= v < 4.8 + 0.1 * (middle - 4.8)]
    assert found.marginal == len(marginal)


async def test_capability_is_by_the_textbook_with_an_interval_that_holds_it(view_of: MakeView) -> None:
    values = normal(400)
    found = (await asked(view_of_values(view_of, values))).capability
    assert found is not None
    mean, sd = numpy.mean(values), numpy.std(values, ddof=1)
    within = numpy.mean(numpy.abs(numpy.diff(values))) / (2 / numpy.pi**0.5)
    assert found.sigma_within == pytest.approx(within, rel=1e-5)
    assert found.pp[0] == pytest.approx(0.4 / (6 * sd), abs=1e-3)
    assert found.ppk[0] == pytest.approx(min(mean - 4.8, 5.2 - mean) / (3 * sd), abs=1e-3)
    assert found.cp[0] == pytest.approx(0.4 / (6 * within), abs=1e-3)
    assert found.cpk[0] == pytest.approx(min(mean - 4.8, 5.2 - mean) / (3 * within), abs=1e-3)
    # sigma lies between sd * sqrt(399 / chi2) at both ends
    ends = [found.pp[0] * (q / 399) ** 0.5 for q in stats.chi2.ppf([0.025, 0.975], 399)]
    assert found.pp[1:] == pytest.approx(ends, abs=1e-3)
    truth = 0.2 / (3 * 0.05)
    assert found.ppk[1] < truth < found.ppk[2]


async def test_an_interval_of_ppk_holds_the_truth_in_95_of_100_samples() -> None:
    from testlab_tools.statistics.capability import describe_capability

    rng = numpy.random.default_rng(5)
    held = 0
    for _ in range(1000):
        values = rng.normal(5.05, 0.05, 50)
        moving = float(numpy.abs(numpy.diff(values)).mean())
        found = describe_capability(50, float(values.mean()), float(values.std(ddof=1)), moving, 4.8, 5.2)
        assert found is not None
        held += found.ppk[1] <= 1.0 <= found.ppk[2]
    assert 920 <= held <= 975


async def test_one_limit_gives_no_cp_and_the_side_is_said(view_of: MakeView) -> None:
    found = await asked(view_of_values(view_of, normal(100), lambda n: (None, 5.2)))
    assert found.capability is not None
    assert (found.capability.cp, found.capability.pp, len(found.capability.cpk)) == ([], [], 3)
    assert "one side only" in found.note


async def test_limits_that_changed_are_told_and_capability_is_by_the_latest(view_of: MakeView) -> None:
    found = await asked(view_of_values(view_of, normal(300), lambda n: (4.85, 5.15) if n < 200 else (4.9, 5.1)))
    assert [(period.lower, period.upper, period.n) for period in found.limits] == [(4.9, 5.1, 100), (4.85, 5.15, 200)]
    assert found.capability is not None
    assert (found.capability.lower, found.capability.upper) == (4.9, 5.1)
    assert "Its limits changed (2 different ones)" in found.note


async def test_what_if_counts_the_values_within_other_limits(view_of: MakeView) -> None:
    values = normal(300)
    view = view_of_values(view_of, values, lambda n: (4.9, None))
    found = await asked(view, replace(ORDER, lower=4.95, upper=5.1))
    assert found.what_if is not None
    passed = sum(4.95 <= value <= 5.1 for value in values)
    assert (found.what_if.n, found.what_if.passed) == (300, passed)
    assert found.what_if.interval == pytest.approx(
        proportion.proportion_confint(passed, 300, method="wilson"), abs=1e-4
    )
    assert found.what_if.newly_failed == sum(value >= 4.9 and not 4.95 <= value <= 5.1 for value in values)
    wider = await asked(view, replace(ORDER, lower=4.0))
    assert wider.what_if is not None
    assert wider.what_if.newly_passed == sum(value < 4.9 for value in values)
    assert wider.what_if.rate == 1


async def test_a_limit_that_is_not_given_stays_as_it_is(view_of: MakeView) -> None:
    values = normal(300)
    found = (await asked(view_of_values(view_of, values, lambda n: (4.95, 5.2)), replace(ORDER, upper=5.1))).what_if
    assert found is not None
    assert (found.lower, found.upper, found.newly_passed) == (4.95, 5.1, 0)
    assert found.passed == sum(4.95 <= value <= 5.1 for value in values)
    assert found.newly_failed == sum(value >= 4.95 and 5.1 < value <= 5.2 for value in values)


async def test_limits_in_use_at_the_same_time_are_said_to_be(view_of: MakeView) -> None:
    view = view_of_values(view_of, normal(300), lambda n: (4.85, 5.15) if n % 2 else (4.9, 5.1), ("A", "B"))
    assert "Its limits changed (2 different ones, some in use at the same time)" in (await asked(view)).note


async def test_a_step_is_found_with_its_date(view_of: MakeView) -> None:
    found = await asked(view_of_values(view_of, [*normal(300), *normal(200, 5.05, seed=4)]))
    assert found.drift is not None
    assert found.drift.shape == "step"
    assert found.drift.since is not None
    assert abs(found.drift.since - (START + 300 * STEP)) < timedelta(hours=24)
    assert (found.drift.before, found.drift.after) == (pytest.approx(5.0, abs=0.02), pytest.approx(5.05, abs=0.02))


async def test_a_slope_is_told_per_day_with_when_the_limit_is_reached(view_of: MakeView) -> None:
    values = [value + 0.002 * n / 24 for n, value in enumerate(normal(1200, sd=0.02))]
    found = await asked(view_of_values(view_of, values))
    drift = found.drift
    assert drift is not None
    assert (drift.shape, drift.since) == ("slope", None)
    assert drift.per_day == pytest.approx(0.002, rel=0.1)
    assert drift.per_day_interval[0] < 0.002 < drift.per_day_interval[1]
    assert drift.reaches is not None
    assert drift.reaches.limit == 5.2
    assert drift.reaches.runs == pytest.approx((5.2 - 5.1) / 0.002 * 24, rel=0.15)
    assert drift.reaches.earliest < drift.reaches.on < drift.reaches.latest


async def test_a_slope_that_begins_later_is_told_since_when(view_of: MakeView) -> None:
    values = [value + max(0, n - 600) * 0.004 / 24 for n, value in enumerate(normal(1000, sd=0.02))]
    drift = (await asked(view_of_values(view_of, values))).drift
    assert drift is not None
    assert drift.shape == "slope"
    assert drift.since is not None
    assert abs(drift.since - (START + 600 * STEP)) < timedelta(days=3)


async def test_values_that_do_not_drift_are_not_said_to(view_of: MakeView) -> None:
    found = await asked(view_of_values(view_of, normal(500), stations=("A", "B", "C")))
    assert found.drift is not None
    assert (found.drift.shape, found.drift.since) == ("none shown", None)
    assert "No difference is shown." in found.note
    assert [row.n for row in found.rows] == [167, 167, 166]


async def test_a_station_that_measures_otherwise_is_the_only_one_that_differs(view_of: MakeView) -> None:
    values = [value + (0.03 if n % 3 == 1 else 0) for n, value in enumerate(normal(400))]
    found = await asked(view_of_values(view_of, values, stations=("A", "B", "C")))
    assert [row.group for row in found.rows if row.differs] == ["B"]
    assert found.rows[0].differs.startswith("higher mean than the rest (p ")


async def test_values_that_are_not_normal_are_said_to_be_so(view_of: MakeView) -> None:
    rng = random.Random(1)
    found = await asked(view_of_values(view_of, [4.9 + rng.expovariate(20) for _ in range(300)]))
    assert "The values are not normal (skewness" in found.note


async def test_one_value_has_a_mean_and_nothing_else(view_of: MakeView) -> None:
    found = await asked(view_of_values(view_of, [5.0]))
    assert (found.n, found.mean, found.sd, found.capability, found.drift) == (1, 5.0, None, None, None)
    assert "One value" in found.note


async def test_values_that_never_vary_have_no_capability(view_of: MakeView) -> None:
    found = await asked(view_of_values(view_of, [5.0] * 50))
    assert (found.n, found.sd, found.capability) == (50, 0.0, None)


async def test_without_limits_there_is_no_capability_and_that_is_said(view_of: MakeView) -> None:
    found = await asked(view_of_values(view_of, normal(50), lambda n: (None, None)))
    assert (found.capability, found.marginal, found.limits) == (None, None, [])
    assert "no limits that are numbers" in found.note


async def test_texts_are_counted_by_value(view_of: MakeView) -> None:
    runs, rows = measured([5.0] * 30)
    texts = [
        row._replace(value=None, text="1.4.1" if n % 10 == 0 else "1.4.2", outcome="fail" if n % 10 == 0 else "pass")
        for n, row in enumerate(rows)
    ]
    found = await asked(view_of(runs, (), texts))
    assert [(text.value, text.n, text.failed) for text in found.texts] == [("1.4.2", 27, 0), ("1.4.1", 3, 3)]
    assert (found.passed, found.failed, found.mean) == (27, 3, None)
    assert "are no numbers" in found.note


async def test_samples_and_repeated_runs_do_not_count(view_of: MakeView) -> None:
    runs, rows = measured([5.0, 5.01, 5.02, 5.03])
    runs[1] = runs[1]._replace(sample="golden")
    runs[3] = runs[3]._replace(unit="U2")
    first = await asked(view_of(runs, (), rows))
    assert (first.n, first.mean) == (2, 5.01)
    every = await asked(view_of(runs, (), rows), replace(ORDER, attempts="every"))
    assert every.n == 3


@pytest.mark.parametrize("numbers", [True, False])
async def test_a_value_that_only_later_runs_have_is_said_to_be_there(view_of: MakeView, numbers: bool) -> None:
    runs, rows = measured([5.0, 5.01, 5.02])
    runs = [run._replace(unit="U0") for run in runs]
    later = rows[1:] if numbers else [row._replace(value=None, text="1.4.1") for row in rows[1:]]
    found = await asked(view_of(runs, (), later))
    assert found.n == 0
    assert found.note == (
        "No unit's first run that matches has a value of it; other runs have 2: attempts every counts them."
    )
    none = await asked(view_of(runs, (), ()))
    assert none.note == "No run that matches has a value of it."


async def test_cases_that_measure_the_same_are_mixed_only_with_a_word(view_of: MakeView) -> None:
    runs, rows = measured(normal(40))
    rows += [row._replace(case_name="standby") for row in rows]
    assert "2 cases measure it and are mixed: give case." in (await asked(view_of(runs, (), rows))).note
    assert (await asked(view_of(runs, (), rows), replace(ORDER, case="standby"))).n == 40


async def test_capability_is_of_the_limits_in_force_and_other_limits_have_their_own(view_of: MakeView) -> None:
    values = [value + 0.002 * n / 24 for n, value in enumerate(normal(1200, sd=0.02))]
    view = view_of_values(view_of, values)
    today, asked_for = await asked(view), await asked(view, replace(ORDER, lower=4.0, upper=6.0))
    assert today.drift is not None
    assert today.drift.reaches is not None
    assert (asked_for.capability, asked_for.drift) == (today.capability, today.drift)
    assert asked_for.what_if is not None
    wide = (await asked(view_of_values(view_of, values, lambda n: (4.0, 6.0)))).capability
    assert wide is not None
    assert (asked_for.what_if.cpk, asked_for.what_if.ppk) == (wide.cpk, wide.ppk)


async def test_parts_with_different_limits_are_said_to_be_mixed(view_of: MakeView) -> None:
    runs, rows = measured(normal(200), lambda n: (4.5, 5.5) if n == 150 else (4.8, 5.2))
    runs = [run._replace(part="PCB" if n == 150 else "BOX") for n, run in enumerate(runs)]
    view = view_of(runs, (), rows)
    found = await asked(view)
    limits = [(period.part, period.lower, period.upper, period.n) for period in found.limits]
    assert limits == [("BOX", 4.8, 5.2, 199), ("PCB", 4.5, 5.5, 1)]
    assert (found.capability, found.marginal) == (None, None)
    assert "2 parts with different limits are mixed" in found.note
    assert "changed" not in found.note
    named = RunFilter(["factory"], {"test": ["FVT"], "part": ["BOX"]})
    of_one = await describe_measurement(view, named, ORDER)
    assert of_one.capability is not None
    assert [period.part for period in of_one.limits] == [""]


def in_batches(view_of: MakeView, values: Sequence[float], batch: Callable[[int], int]) -> MemoryView:
    runs, rows = measured(values)
    return view_of([run._replace(batch=f"LOT-{batch(n)}") for n, run in enumerate(runs)], (), rows)


async def test_what_one_batch_explains_is_no_step(view_of: MakeView) -> None:
    values = [*normal(200), *normal(100, 4.9, seed=4), *normal(50, seed=6)]
    drift = (await asked(view_of_values(view_of, values))).drift
    assert drift is not None
    assert drift.shape != "none shown"
    found = await asked(in_batches(view_of, values, lambda n: n // 100))
    assert found.drift is not None
    assert (found.drift.shape, found.drift.batch) == ("none shown", "LOT-2")
    assert "without it no drift is shown" in found.note


async def test_a_step_that_comes_with_the_last_batch_may_be_of_the_batch(view_of: MakeView) -> None:
    values = [*normal(300), *normal(200, 5.05, seed=4)]
    found = await asked(in_batches(view_of, values, lambda n: min(n // 100, 3)))
    assert found.drift is not None
    assert (found.drift.shape, found.drift.batch) == ("step", "LOT-3")
    assert "the batch may be the cause" in found.note


async def test_a_step_within_many_batches_stays_one(view_of: MakeView) -> None:
    values = [*normal(250), *normal(250, 5.05, seed=4)]
    found = await asked(in_batches(view_of, values, lambda n: n // 50))
    assert found.drift is not None
    assert (found.drift.shape, found.drift.batch) == ("step", "")
