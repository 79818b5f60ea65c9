"""An explanation fits into its bound whatever the lab wrote, and says what it cut."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime

import pytest
from mcp_types import TextContent

from testlab_mcp.commands.tools import count_tokens
from testlab_mcp.protocol.results import to_result
from testlab_tools.explain.collect import CollectedLog, Evidence, Missing
from testlab_tools.explain.compare import Comparison, RunHistory, place_in_history
from testlab_tools.explain.explanation import render
from testlab_tools.files.logs import ReasonLines
from testlab_tools.models.lab import Case, Measurement, Run
from testlab_tools.models.results import KnownRun
from testlab_tools.token_estimate import estimate_tokens

RNG = random.Random(4)
TEXTS = {
    "prose": "The quick brown fox jumps over the lazy dog. " * 400,
    "base64": base64.b64encode(RNG.randbytes(9_000)).decode(),
    "hex": RNG.randbytes(9_000).hex(),
    "punctuation": "".join(RNG.choice("{}[]()<>|\\/*&^%$#@!~`'\";:,.?+=-_") for _ in range(9_000)),
    "cjk": "測試失敗因為沒有影像訊號" * 800,
    "emoji": "🤖🔥💥🧪" * 2_000,
    "amharic": "የሙከራ ስህተት ተከስቷል " * 800,
    "digits": "".join(RNG.choice("0123456789.") for _ in range(9_000)),
    "lines": "Pressed KEY_OK at 0.1234\n" * 2_000,
    "long words": "".join(RNG.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(9_000)),
}


def found_of(text: str) -> tuple[Evidence, Comparison]:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    run = KnownRun(
        run_id="portal:/n/1/2/3", outcome="fail", test=text, started_at=at, station=text, unit=text, part=text
    )
    measured = Measurement(name=text, outcome="fail", value=text, units=text, lower=1, upper=2, expected=text)
    cases = [Case(case=text, outcome="fail", reason=text, traceback=text, measurements=[measured] * 30)] * 30
    lines = ReasonLines(["zzzz"])
    lines.see([text] * 50)
    past = place_in_history(
        [Run(**{**run.model_dump(include=set(Run.model_fields)), "started_at": at})] * 50, run, True
    )
    past.runs = [Run(run_id=f"portal:{n}", outcome="pass", test=text, started_at=at, station=text) for n in range(50)]
    log, missing = CollectedLog(lines, 50, True, 8), [Missing(part="screenshot", why="none")]
    return Evidence(run, cases, [text] * 300, log=log, missing=missing), Comparison(history=past)


@pytest.mark.parametrize("name", TEXTS)
def test_whatever_the_lab_wrote_the_answer_fits_and_says_that_it_is_cut(name: str) -> None:
    answer = render(*found_of(TEXTS[name]), [])
    (block,) = to_result(answer).content
    assert isinstance(block, TextContent)
    assert count_tokens(block.text) <= 2_500, name
    assert "Long texts are cut short" in answer.note
    assert "of 30 steps: get_failed_cases has all" in answer.note
    assert "of 300 artifacts: get_artifact lists all" in answer.note
    assert answer.run.cases
    assert answer.run.log
    assert answer.run.history is not None
    assert answer.run.history.runs


@pytest.mark.parametrize("name", TEXTS)
def test_the_size_of_a_text_is_told_close_enough(name: str) -> None:
    text = TEXTS[name][:4_000]
    assert 0.92 * count_tokens(text) <= estimate_tokens(text) <= 3.6 * count_tokens(text) + 10


def test_a_small_failure_is_told_whole() -> None:
    found, comparison = found_of("No video")
    found.cases, found.artifacts = found.cases[:1], ["a.log"]
    found.cases[0].measurements = []
    answer = render(found, comparison, [])
    assert "cut short" not in answer.note
    assert answer.run.cases[0].traceback == "No video"


def test_of_a_traceback_the_end_is_kept() -> None:
    found, comparison = found_of("x")
    found.cases = [Case(case="c", outcome="error", traceback="Traceback:\n" + "  frame\n" * 500 + "Boom: it broke")]
    assert render(found, comparison, []).run.cases[0].traceback.endswith("  frame\nBoom: it broke")


def test_the_past_says_which_attempt_it_was_and_whether_it_passed_later() -> None:
    def one(n: int, outcome: str = "fail", test: str = "FCT", service: str = "a") -> Run:
        at = datetime(2026, 11, n, tzinfo=UTC)
        return Run.model_validate(
            {"run_id": f"{service}:{n}", "outcome": outcome, "test": test, "started_at": at, "unit": "SN"}
        )

    runs = [one(6, "pass", "EOL"), one(5, "pass"), one(4), one(3, "pass", "FCT", "b"), one(2), one(1, "pass", "EOL")]
    past = place_in_history(runs, runs[2], more=False)
    assert (past.attempt, past.attempts, past.passed_later) == (2, 3, True)
    assert [run.run_id for run in past.runs] == ["a:6", "a:5", "b:3", "a:2", "a:1"]
    cut: RunHistory = place_in_history(runs, runs[1], more=True)
    assert (cut.attempt, cut.passed_later, bool(cut.note)) == (0, False, True)
