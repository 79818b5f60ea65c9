"""The same execution in several services counts once; what only looks like it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testlab_tools.models.lab import Run
from testlab_tools.passport.histories import deduplicate

START = datetime(2026, 11, 20, 8, tzinfo=UTC)


def run(handle: str, second: float = 0.0, **fields: Any) -> Run:
    given = {"outcome": "pass", "test": "FCT", "unit": "SN-1", "duration_s": 50.0, **fields}
    return Run(run_id=handle, started_at=START + timedelta(seconds=second), **given)


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        (run("a:1"), run("b:1"), 1),
        (run("a:1"), run("b:1", 0.9), 1),
        (run("a:1"), run("b:1", unit="sn-1", test="fct"), 1),
        (run("a:1", test="FCT 12"), run("b:1", test="Board FCT", duration_s=50.4), 1),
        (run("a:1", test=""), run("b:1"), 1),
        (run("a:1"), run("b:1", 2), 2),
        (run("a:1"), run("b:1", outcome="fail"), 2),
        (run("a:1"), run("b:1", unit="SN-2"), 2),
        (run("a:1"), run("b:1", test="EOL", duration_s=98), 2),
        (run("a:1", duration_s=0), run("b:1", test="EOL", duration_s=0), 2),
        (run("a:1"), run("a:2"), 2),
    ],
)
def test_runs_of_two_services_are_the_same_only_if_they_began_together_and_ended_alike(
    first: Run, second: Run, left: int
) -> None:
    kept = deduplicate([second, first], ["a", "b"])
    assert len(kept) == left
    assert "a:1" in {one.run_id for one in kept}


def test_each_run_hides_one_of_another_service_and_no_more() -> None:
    runs = [run("a:1"), run("b:1"), run("b:2", 0.5), run("c:1", 0.2)]
    assert [one.run_id for one in deduplicate(runs, ["a", "b", "c"])] == ["a:1", "b:2"]


def test_they_come_oldest_first_whatever_they_are_read_from() -> None:
    runs = iter([run("b:1", 30), run("a:1", 60), run("b:2", 10)])
    assert [one.run_id for one in deduplicate(runs, ["a", "b"])] == ["b:2", "b:1", "a:1"]
