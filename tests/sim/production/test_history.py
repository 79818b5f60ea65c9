"""The seeded history has in it what `effects` says, and nothing depends on when it is asked."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from statistics import fmean, linear_regression, stdev

import pytest

from testlab_sim.production import effects as fx
from testlab_sim.production.history import History
from testlab_sim.production.records import mint, number_of

DAY = 86400.0
NOW = 1795240000.0


@pytest.fixture(scope="module")
def history() -> History:
    return History.seeded(7, NOW)


def _first_verdicts(history, short):
    """The first PASS or FAIL of each production unit on a procedure."""
    first = {}
    for run in history.runs:
        if run.procedure.short == short and run.unit.sample is None and run.outcome in ("PASS", "FAIL"):
            first.setdefault(run.unit, run)
    return list(first.values())


def _share(runs, outcome):
    return sum(run.outcome == outcome for run in runs) / len(runs)


def test_it_is_large_and_of_three_procedures(history):
    assert len(history.runs) >= 10_000
    assert len(history.stands.rows) >= 6_000
    assert {p.short for p in history.procedures.values()} == {"FVT1", "EOL1", "EMC1"}
    span = history.runs[-1].started - history.runs[0].started
    assert 115 * DAY < span < 121 * DAY
    assert max(run.created for run in history.runs) < NOW


def test_it_is_small():
    tracemalloc.start()
    kept = History.seeded(7, NOW)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 20e6
    assert kept.runs


def test_the_same_seed_gives_the_same_history_and_another_seed_another():
    def told(seed):
        history = History.seeded(seed, NOW)
        return [(r.id, r.unit.serial, r.outcome, r.story, history.detail(r).phases) for r in history.runs[::500]]

    assert told(7) == told(7)
    assert told(7) != told(8)


def test_first_pass_yield_is_about_93_percent(history):
    for short in fx.BASE_FAIL:
        assert 0.91 < _share(_first_verdicts(history, short), "PASS") < 0.95


def test_what_a_run_contains_agrees_with_its_outcome(history):
    for run in history.runs:
        last = {phase.name: phase for phase in history.detail(run).phases}
        outcomes = {phase.outcome for phase in last.values()}
        worst = "ERROR" if "ERROR" in outcomes else "FAIL" if "FAIL" in outcomes else "PASS"
        assert worst == {"TIMEOUT": "ERROR", "ABORTED": "PASS"}.get(run.outcome, run.outcome), run
        for phase in last.values():
            assert run.started <= phase.started <= phase.ended <= run.ended + 0.001
            assert (phase.outcome == "FAIL") == any(m.outcome == "FAIL" for m in phase.measurements)


def test_rail_5v_drifts_as_documented(history):
    runs = _first_verdicts(history, "FVT1")
    start = NOW - fx.DAYS * DAY
    days, volts = [(r.started - start) / DAY for r in runs], [r.story[2] for r in runs]
    fit = linear_regression(days, volts)
    assert fit.slope == pytest.approx(fx.RAIL_SLOPE, rel=0.05)
    assert fit.intercept == pytest.approx(fx.RAIL_START, abs=0.003)
    residues = [v - fit.intercept - fit.slope * d for d, v in zip(days, volts, strict=True)]
    assert stdev(residues) == pytest.approx(fx.RAIL_SIGMA, rel=0.05)


def test_the_new_version_has_narrower_limits_from_its_day_on(history):
    start = NOW - fx.DAYS * DAY
    seen = {}
    for run in history.runs:
        if run.procedure.short == "FVT1" and run.outcome == "PASS":
            rail = next(m for p in history.detail(run).phases for m in p.measurements if m.name == "rail_5v")
            seen.setdefault(run.version.tag, set()).add(tuple(v.expected for v in rail.validators))
            assert (run.version.tag == "2.1.0") == ((run.started - start) / DAY >= fx.LIMITS_DAY)
    assert seen == {"2.0.0": {(4.85, 5.15)}, "2.1.0": {(4.90, 5.10)}}


def test_the_drift_meets_the_new_limit_in_the_last_weeks(history):
    runs = _first_verdicts(history, "FVT1")
    high = [run for run in runs if run.story[2] > 5.10]
    assert len(high) > 5
    assert all(run.outcome == "FAIL" or run.version.tag == "2.0.0" for run in high)
    assert fmean((run.started - (NOW - fx.DAYS * DAY)) / DAY for run in high) > 100


def test_the_last_attempt_within_a_run_decides(history):
    attempts = Counter()
    for run in history.runs:
        flash = [p for p in history.detail(run).phases if p.name == "flash_firmware"]
        if flash:
            attempts[len(flash)] += 1
            assert [p.retry_count for p in flash] == list(range(len(flash)))
            assert all(p.outcome == "FAIL" for p in flash[:-1])
    assert attempts[2] / attempts.total() == pytest.approx(fx.FLASH_MISS, rel=0.25)
    assert max(attempts) == fx.FLASH_ATTEMPTS


def test_failed_units_are_tested_again_and_leave_the_line_when_they_fail_for_good(history):
    lost = set()
    for unit in history.units.values():
        if unit.sample is None:
            for short in fx.BASE_FAIL:
                outcomes = [run.outcome for run in unit.runs if run.procedure.short == short]
                verdicts = [outcome for outcome in outcomes if outcome in ("PASS", "FAIL")]
                assert verdicts.count("PASS") <= 1
                assert len(verdicts) <= fx.MAX_ATTEMPTS
                lost |= {unit} if verdicts and verdicts[-1] == "FAIL" else set()
    assert 5 < len(lost) < 60
    assert all(unit.runs[-1].outcome == "FAIL" for unit in lost)


def test_one_station_errs_far_more_often_than_the_others(history):
    start = NOW - fx.DAYS * DAY + fx.BAD_STATION_DAY * DAY
    runs = [r for r in history.runs if r.procedure.short == "FVT1" and r.started >= start and not r.unit.sample]
    bad = [run for run in runs if run.station.name == fx.BAD_STATION]
    good = [run for run in runs if run.station.name != fx.BAD_STATION]
    assert _share(bad, "ERROR") == pytest.approx(fx.BAD_STATION_ERROR, rel=0.4)
    assert _share(good, "ERROR") < 0.02


def test_one_batch_fails_on_tuner_snr(history):
    runs = _first_verdicts(history, "EOL1")
    bad = [run for run in runs if run.unit.batch.name == fx.BAD_BATCH]
    good = [run for run in runs if run.unit.batch.name != fx.BAD_BATCH]
    assert fmean(run.story[2] for run in bad) == pytest.approx(fx.SNR_BAD, abs=0.4)
    assert fmean(run.story[2] for run in good) == pytest.approx(fx.SNR_GOOD, abs=0.1)
    assert _share(bad, "FAIL") > 3 * _share(good, "FAIL")


def test_samples_are_marked_and_behave(history):
    for serial, sample in fx.SAMPLES.items():
        unit = history.units[serial]
        assert unit.sample == sample
        assert len(unit.runs) > 45
    failing = Counter(run.outcome for run in history.units["STB4K-F00001"].runs)
    assert set(failing) == {"FAIL"}


def test_gaps_and_wrong_orders_are_where_they_are_planted(history):
    for serial, short in fx.GAPS.items():
        seen = {run.procedure.short for run in history.units[serial].runs}
        assert seen == {"FVT1", "EOL1", "EMC1"} - {short}
    for serial in fx.OUT_OF_ORDER:
        first = {}
        for run in history.units[serial].runs:
            first.setdefault(run.procedure.short, run.started)
        assert first["EOL1"] < first["FVT1"] < first["EMC1"]
    order = ["FVT1", "EOL1", "EMC1"]
    for unit in history.units.values():
        if unit.serial not in fx.OUT_OF_ORDER:
            places = [order.index(run.procedure.short) for run in unit.runs]
            assert places == sorted(places)


def test_the_same_units_are_at_standcloud_with_their_power_supplies(history):
    by_serial = {row.serial for row in history.stands.rows}
    finished = [u for u in history.units.values() if u.serial.startswith("STB4K-0") and u.runs[-1].outcome == "PASS"]
    assert len(finished) > 3000
    assert {child.serial for unit in finished for child in unit.children} <= by_serial
    assert {unit.serial for unit in finished if unit.runs[-1].procedure.short == "EMC1"} <= by_serial
    shares = Counter(row.status for row in history.stands.rows if row.attempt == 1)
    assert shares["fail"] / shares.total() == pytest.approx(fx.STAND_FAIL, rel=0.15)
    assert shares["stop"] > 10
    assert shares["skip"] > 5


def test_runs_of_a_unit_are_in_order_of_start(history):
    for unit in history.units.values():
        assert [r.started for r in unit.runs] == sorted(r.started for r in unit.runs)


def test_an_id_leads_back_to_its_number_and_to_no_other_kind():
    for number in (0, 1, 10_297, 2**44 + 5, 2**48 - 1):
        uuid = mint("run", number)
        assert number_of("run", uuid.upper()) == number
        assert number_of("unit", uuid) is None
    assert number_of("run", "17") is None
    assert len({mint("run", n) for n in range(20_000)}) == 20_000
