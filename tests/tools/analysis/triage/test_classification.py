"""Product, infrastructure or flaky: what the rules make of runs, and that they say what they do not know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.triage.compare import ClassificationInput
from testlab_tools.triage.conclude import Verdict, classify

if TYPE_CHECKING:
    from tests.tools.analysis.conftest import Bench

STATION: dict[str, Any] = {"unit": "", "revision": "r1"}
"""As a device farm tells runs: no unit, a revision."""


@pytest.fixture
def judge(bench: Bench) -> Callable[..., Verdict]:
    """Judge failures (newest first) against passes, in a window of a day."""

    def judged_by(failures: list[Any], passes: Any = (), before: Any = (), **more: Any) -> Verdict:
        failures = sorted(failures, key=lambda f: f.run.started_at, reverse=True)
        known = None if passes is None else list(passes)
        since = bench.now - timedelta(hours=24)
        return classify(ClassificationInput(failures, list(before), known, more.pop("cut", False), since, **more))

    return judged_by


def test_a_message_about_an_instrument_is_infrastructure_with_where_and_how_often(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, "DMM not responding on GPIB0::22", station="S3", unit=f"U{h}") for h in (1, 5)]
    passes = [*(bench.run(h, station="S3") for h in (2, 3)), *(bench.run(h, station="S1") for h in (2, 3, 4))]
    class_, evidence = judge(failures, passes, alike=4)
    assert class_ == "infrastructure"
    assert "an instrument that does not answer" in evidence
    assert "passed the test 2 times meanwhile; 1 other passed it 3 times" in evidence
    assert "4 other cases there failed with the same message" in evidence


def test_one_station_only_is_infrastructure_where_others_passed_meanwhile(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, station="S3", unit=f"U{h}") for h in (1, 2, 3, 4, 5)]
    passes = [bench.run(h, station=s, unit=f"V{h}") for h in (1, 2, 3, 4, 5, 6) for s in ("S1", "S2")]
    class_, evidence = judge(failures, passes)
    assert class_ == "infrastructure"
    assert "All 5 failures at one station, with 0 passes there, while 2 others passed 12" in evidence
    assert "by chance in 0.2% of cases" in evidence


@pytest.mark.parametrize("why", ["too few", "likely by chance", "nobody else ran it", "other revision", "one unit"])
def test_one_station_proves_nothing_where(why: str, bench: Bench, judge: Callable[..., Verdict]) -> None:
    hours = (1, 2) if why == "too few" else (1, 2, 3, 4)
    unit = (lambda h: "U1") if why == "one unit" else (lambda h: f"U{h}")
    failures = [bench.failure(h, station="S3", unit=unit(h), revision="r2") for h in hours]
    elsewhere = {"nobody else ran it": 0, "likely by chance": 4}.get(why, 40)
    revision = "r1" if why == "other revision" else "r2"
    passes = [bench.run(1, station="S1", unit=f"V{n}", revision=revision) for n in range(elsewhere)]
    passes += [bench.run(1, station="S3", unit=f"W{n}", revision="r2") for n in range(40 * (why == "likely by chance"))]
    assert judge(failures, passes).class_ == "product"


def test_to_and_fro_on_one_station_and_revision_is_flaky_with_its_numbers(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, "EPG is empty", **STATION) for h in (2, 4)]
    passes = [bench.run(h, **STATION) for h in (1, 3, 5)]
    class_, evidence = judge(failures, passes)
    assert class_ == "flaky"
    assert "3 passes and 2 failures to and fro (4 changes) on the same station and revision" in evidence
    assert "2 of the 2 here" in evidence


def test_failures_of_the_window_before_count_for_the_mix(bench: Bench, judge: Callable[..., Verdict]) -> None:
    before = [bench.failure(30, "EPG is empty", **STATION)]
    verdict = judge([bench.failure(2, "EPG is empty", **STATION)], [bench.run(10, **STATION)], before)
    assert verdict.class_ == "flaky"


@pytest.mark.parametrize(
    ("fails", "passes", "changed"),
    [
        ([1, 2, 3], [4, 5, 6], {}),
        ([4, 5, 6], [1, 2, 3], {}),
        ([2, 4], [1, 3, 5], {"revision": "r2"}),
        ([2, 4], [1, 3, 5], {"station": "S9"}),
    ],
)
def test_a_change_in_between_is_not_flaky(
    fails: list[int], passes: list[int], changed: dict[str, str], bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, "EPG is empty", **STATION) for h in fails]
    assert judge(failures, [bench.run(h, **{**STATION, **changed}) for h in passes]).class_ == "product"


def test_a_station_whose_revisions_are_not_known_is_not_called_flaky(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, "EPG is empty") for h in (2, 4)]
    assert judge(failures, [bench.run(h) for h in (1, 3, 5)]).class_ == "product"


def test_a_unit_that_passed_failed_and_passed_again_is_flaky(bench: Bench, judge: Callable[..., Verdict]) -> None:
    failures = [bench.failure(3, unit="U1")]
    class_, evidence = judge(failures, [bench.run(h, unit="U1") for h in (1, 5)])
    assert class_ == "flaky"
    assert "on the same unit, at 1 unit" in evidence


def test_units_that_failed_and_passed_later_are_product_and_rework_is_left_open(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, unit=f"U{h}", station=f"S{h}") for h in (3, 4, 5)]
    passes = [*(bench.run(1, unit=f"U{h}") for h in (3, 4)), *(bench.run(2, unit=f"V{n}") for n in range(9))]
    class_, evidence = judge(failures, passes)
    assert class_ == "product"
    assert "11 runs of the test passed, 3 failed so" in evidence
    assert "2 of 3 units passed later; whether reworked first is not recorded" in evidence


def test_a_steady_failure_outweighs_a_station_that_wavers(bench: Bench, judge: Callable[..., Verdict]) -> None:
    steady = [bench.failure(h, "No match", station="S1", **STATION) for h in (1, 2, 3)]
    wavering = [bench.failure(5, "No match", station="S2", **STATION)]
    passes = [bench.run(h, station="S2", **STATION) for h in (4, 6)]
    assert judge([*steady, *wavering], passes).class_ == "product"
    assert judge([*steady[:1], *wavering], passes).class_ == "flaky"


def test_too_little_data_is_said(bench: Bench, judge: Callable[..., Verdict]) -> None:
    once = [bench.failure(1, "EPG is empty", **STATION)]
    assert "failed once, and no run of the test passed; too little to tell" in judge(once).evidence
    assert "failed once, and 1 run of the test passed" in judge(once, [bench.run(2, **STATION)]).evidence
    assert "could not be read" in judge(once, None).evidence


def test_a_change_that_nobody_recorded_is_said(bench: Bench, judge: Callable[..., Verdict]) -> None:
    failures = [bench.failure(h, "EPG is empty", **STATION) for h in (1, 2)]
    class_, evidence = judge(failures, [bench.run(h, **STATION) for h in (3, 4)])
    assert class_ == "product"
    assert "passed before and fails since" in evidence


def test_retries_and_errors_without_a_verdict_are_said(bench: Bench, judge: Callable[..., Verdict]) -> None:
    failures = [bench.failure(h, "KeyError: x", unit=f"U{h}", outcome="error", retried=h) for h in (1, 2)]
    evidence = judge(failures).evidence
    assert "Retried within the run up to 2 times, and failed still" in evidence
    assert "the test itself may be at fault" in evidence


def test_where_passes_were_cut_only_what_stands_beside_them_is_compared(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, "EPG is empty", **STATION) for h in (2, 8, 9, 10)]
    class_, evidence = judge(failures, [bench.run(h, **STATION) for h in (1, 3)], cut=True)
    assert class_ == "flaky"
    assert evidence.startswith("Since 2026-11-20: 2 passes and 1 failure")
    late = judge([bench.failure(20, "EPG is empty", **STATION)], [bench.run(1, **STATION)], cut=True)
    assert late == ("product", "By default: all its failures are older than the passes read; narrow since and until.")


def test_evidence_holds_nothing_that_others_wrote(bench: Bench, judge: Callable[..., Verdict]) -> None:
    words = "IGNORE-ALL"
    failures = [
        bench.failure(h, f"No video {words}", test=words, case=words, station=words, unit=words, revision=words)
        for h in (1, 3, 5)
    ]
    for messages in ("No video", "x"):
        told = [f._replace(reason=f"{messages} {words}") for f in failures]
        assert words not in judge(told, [bench.run(2, test=words, station=words, unit=words)]).evidence
