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
        return classify(ClassificationInput(failures, list(before), known, more.pop("cut", ()), since, **more))

    return judged_by


def test_a_message_about_an_instrument_is_infrastructure_with_where_and_how_often(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, "DMM not responding on GPIB0::22", station="S3", unit=f"U{h}") for h in (1, 5)]
    passes = [*(bench.run(h, station="S3") for h in (2, 3)), *(bench.run(h, station="S1") for h in (2, 3, 4))]
    class_, evidence = judge(failures, passes)
    assert class_ == "infrastructure"
    assert "an instrument that does not answer" in evidence
    assert "Meanwhile 2 passes there, 3 at 1 other." in evidence


def test_one_station_only_is_infrastructure_where_others_passed_meanwhile(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, station="S3", unit=f"U{h}") for h in (1, 2, 3, 4, 5)]
    passes = [bench.run(h, station=s, unit=f"V{h}") for h in (1, 2, 3, 4, 5, 6) for s in ("S1", "S2")]
    class_, evidence = judge(failures, passes)
    assert class_ == "infrastructure"
    assert "All 5 at one station (0 passes there), while 2 others passed 12 times" in evidence
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
    assert judge(failures, passes).class_ in ("product", "unclear")


def test_to_and_fro_on_one_station_and_revision_is_flaky_with_its_numbers(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, "EPG is empty", **STATION) for h in (2, 4)]
    passes = [bench.run(h, **STATION) for h in (1, 3, 5)]
    class_, evidence = judge(failures, passes)
    assert class_ == "flaky"
    assert evidence == "To and fro on one station and revision: 3 passes, 2 failures, 4 changes."


def test_failures_of_the_window_before_count_for_the_mix(bench: Bench, judge: Callable[..., Verdict]) -> None:
    before = [bench.failure(30, "EPG is empty", **STATION)]
    verdict = judge([bench.failure(2, "EPG is empty", **STATION)], [bench.run(10, **STATION)], before)
    assert verdict.class_ == "flaky"
    assert "2 failures (1 before)" in verdict.evidence


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
    assert "on one unit: 2 passes, 1 failure, 2 changes." in evidence


def test_units_that_failed_and_passed_later_are_product_and_rework_is_left_open(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, unit=f"U{h}", station=f"S{h}") for h in (3, 4, 5)]
    passes = [*(bench.run(1, unit=f"U{h}") for h in (3, 4)), *(bench.run(2, unit=f"V{n}") for n in range(9))]
    class_, evidence = judge(failures, passes)
    assert class_ == "product"
    assert "3 failed runs, 11 passes" in evidence
    assert "2 of 3 units passed later." in evidence


def test_a_steady_failure_outweighs_a_station_that_wavers(bench: Bench, judge: Callable[..., Verdict]) -> None:
    steady = [bench.failure(h, "No match", station="S1", **STATION) for h in (1, 2, 3)]
    wavering = [bench.failure(5, "No match", station="S2", **STATION)]
    passes = [bench.run(h, station="S2", **STATION) for h in (4, 6)]
    assert judge([*steady, *wavering], passes).class_ == "product"
    assert judge([*steady[:1], *wavering], passes).class_ == "flaky"


def test_too_little_data_is_unclear_and_not_the_products(bench: Bench, judge: Callable[..., Verdict]) -> None:
    once = [bench.failure(1, "EPG is empty", **STATION)]
    assert judge(once) == ("unclear", "Failed once, beside 0 passes: too little to tell.")
    assert "Failed once, beside 1 pass" in judge(once, [bench.run(2, **STATION)]).evidence
    assert judge(once, None) == ("unclear", "Passes to compare with could not be read.")
    assert judge(once, mixed=3) == ("unclear", "3 causes: group_by=cause tells them apart.")


def test_a_change_that_nobody_recorded_is_said(bench: Bench, judge: Callable[..., Verdict]) -> None:
    failures = [bench.failure(h, "EPG is empty", **STATION) for h in (1, 2)]
    class_, evidence = judge(failures, [bench.run(h, **STATION) for h in (3, 4)])
    assert class_ == "unclear"
    assert "Passed before, fails since" in evidence
    assert judge([*failures, bench.failure(2.5, "EPG is empty", **STATION)], [bench.run(4, **STATION)])[0] == "product"


def test_retries_and_errors_without_a_verdict_are_said(bench: Bench, judge: Callable[..., Verdict]) -> None:
    failures = [bench.failure(h, "KeyError: x", unit=f"U{h}", outcome="error", retried=h) for h in (1, 2)]
    class_, evidence = judge(failures)
    assert class_ == "unclear"
    assert "Retried up to 2 times within a run" in evidence
    assert "perhaps the test itself" in evidence


def test_where_passes_were_cut_only_what_stands_beside_them_is_compared(
    bench: Bench, judge: Callable[..., Verdict]
) -> None:
    failures = [bench.failure(h, "EPG is empty", **STATION) for h in (2, 8, 9, 10)]
    class_, evidence = judge(failures, [bench.run(h, **STATION) for h in (1, 3)], cut={"FCT"})
    assert class_ == "flaky"
    assert evidence.startswith("Since 2026-11-20: To and fro")
    late = judge([bench.failure(20, "EPG is empty", **STATION)], [bench.run(1, **STATION)], cut={"FCT"})
    assert late == ("unclear", "Its failures are older than the passes read; narrow since and until.")


def test_evidence_holds_nothing_that_others_wrote(bench: Bench, judge: Callable[..., Verdict]) -> None:
    words = "IGNORE-ALL"
    failures = [
        bench.failure(h, f"No video {words}", test=words, case=words, station=words, unit=words, revision=words)
        for h in (1, 3, 5)
    ]
    for messages in ("No video", "x"):
        told = [f._replace(reason=f"{messages} {words}") for f in failures]
        assert words not in judge(told, [bench.run(2, test=words, station=words, unit=words)]).evidence
