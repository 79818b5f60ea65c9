"""What failed in a job, however many results it has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from testlab_tools.adapters.stbtester.adapter import StbTester

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

START = datetime(2026, 11, 20, tzinfo=UTC)
JOB = "/node-1/0/1"
LIMIT = 10


def result(n: int, outcome: str) -> dict[str, str]:
    return {
        "result_id": f"{JOB}/{n}",
        "job_uid": JOB,
        "start_time": (START + timedelta(minutes=n)).isoformat(),
        "test_case": "tests/soak.py::test",
        "result": outcome,
        "traceback": "" if outcome == "pass" else f"Traceback {n}",
    }


@pytest.fixture
def portal(origin: Origin, client_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., StbTester]:
    """A portal with one job, of these outcomes; its lists are cut after LIMIT rows."""
    monkeypatch.setattr("testlab_tools.adapters.stbtester.runs.ROW_LIMIT", LIMIT)

    def made(outcomes: list[str]) -> StbTester:
        rows = [result(n, outcome) for n, outcome in enumerate(outcomes)]

        async def answer(asked: Any) -> bytes:
            target = urlsplit(asked.target)
            if target.path == f"/api/v2/jobs{JOB}":
                counts = {"total": len(rows), "pass": 0, "fail": 0, "error": 0}
                return origin.reply(200, {"job_uid": JOB, "status": "exited", "result_counts": counts})
            if target.path != "/api/v2/results":
                return origin.reply(200, rows[int(target.path.rpartition("/")[2])])
            (terms,) = parse_qs(target.query)["filter"]
            wanted = [row for row in rows if f"result:{row['result']}" in terms or "result:" not in terms]
            return origin.reply(200, wanted[:LIMIT])

        origin.answer = answer
        return StbTester("portal", client_of(origin.url))

    return made


async def test_failures_after_more_results_than_the_portal_lists_are_found(portal: Callable[..., StbTester]) -> None:
    failed = await portal(["pass"] * 25 + ["fail", "error", "fail"]).get_failures(JOB)

    assert [(run.outcome, run.cases[0].traceback) for run in failed] == [
        ("fail", "Traceback 25"),
        ("error", "Traceback 26"),
        ("fail", "Traceback 27"),
    ]
