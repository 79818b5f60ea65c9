"""What is told of failed runs: no more than a model can take in, and every cut is said."""

from __future__ import annotations

from datetime import UTC, datetime

from testlab_tools.models.lab import Case, FailedRun, Measurement
from testlab_tools.models.results import MAX_POINTS, MAX_RUNS, summarise_failures


def failed(n: int = 0, *cases: Case) -> FailedRun:
    started = datetime(2026, 11, 20, tzinfo=UTC)
    return FailedRun(run_id=f"portal:{n}", outcome="fail", test="t", started_at=started, cases=list(cases))


CASE = Case(case="c", outcome="fail")


def test_a_few_failures_are_told_whole_and_without_a_note() -> None:
    told = summarise_failures([failed(n, CASE) for n in range(20)], 20)

    assert [run.run_id for run in told.runs] == [f"portal:{n}" for n in range(20)]
    assert told.note == ""


def test_many_failures_are_cut_and_the_cut_is_said() -> None:
    told = summarise_failures([failed(n, CASE) for n in range(300)], 20)

    assert len(told.runs) == MAX_RUNS
    assert told.note == (
        "The first 50 of 300 runs: list_runs lists all. "
        "From run 21 on without traceback and artifacts: ask with its run_id."
    )


def test_a_failed_run_without_a_failed_case_is_not_left_without_a_word() -> None:
    assert "none of its cases failed" in summarise_failures([failed()], 20).note


def test_of_a_measured_series_the_first_points_are_shown() -> None:
    series = Measurement(name="sweep", outcome="fail", value=list(range(10_000)))
    told = summarise_failures([failed(0, CASE.model_copy(update={"measurements": [series]}))], 20)

    assert told.runs[0].cases[0].measurements[0].value == list(range(MAX_POINTS))
    assert told.note == "Of a measured series, the first 20 points are shown."
