"""The twenty questions can be answered, their answers are right, and a wrong answer is told from a right one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testlab_sim.production.history import History
from testlab_sim.stbtester.portal import Portal
from testlab_sim.world import Clock, World
from tests.agents.call import LIST, Entry, call, read_log, show_tools
from tests.agents.questions import Question, all_questions
from tests.agents.score import is_right, report
from tests.agents.serve import ROOT, Trial, opened, plant, write_folder
from tests.agents.solutions import SOLUTIONS
from tests.agents.truth import answers

QUESTIONS = all_questions()
SEED = 7
EACH = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    with opened() as trial:
        yield trial


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trial") / "calls.jsonl"


def test_there_are_twenty_questions_each_with_an_answer_and_a_solution(trial: Trial) -> None:
    names = [question.name for question in QUESTIONS]
    assert len(names) == 20
    assert set(names) == trial.truth.keys() == SOLUTIONS.keys()


@EACH
async def test_a_scripted_solution_is_right_with_as_many_calls_as_are_noted(
    question: Question, trial: Trial, log: Path
) -> None:
    answer = trial.truth[question.name]

    async def ask(tool: str, **arguments: object) -> dict[str, Any]:
        told = await call(trial.url, log, tool, arguments, question.number)
        return json.loads(told.splitlines()[-1])

    given = await SOLUTIONS[question.name](ask, answer.asked)
    made = [entry for entry in read_log(log) if entry.question == question.number]
    assert is_right(given, answer.facts), f"{given!r} is not {answer.facts}"
    assert len(made) == question.calls, "write the new count into questions.toml"
    assert question.could <= question.calls
    spent = sum(entry.tokens for entry in made)
    assert 0.7 < spent / question.tokens < 1.4, f"{spent} tokens: write the new count into questions.toml"


@pytest.mark.parametrize("days", [0.0, 3.4, 13.6, 200.1])
def test_an_answer_that_lacks_a_fact_or_has_another_number_is_wrong_on_any_day(days: float) -> None:
    for name, answer in answers(_world_in(days), (0.0,)).items():
        told = [wordings[0].rstrip("*") for wordings in answer.facts]
        assert is_right(", ".join(told), answer.facts), name
        for place, fact in enumerate(told):
            before, after = told[:place], told[place + 1 :]
            assert not is_right(", ".join([*before, *after]), answer.facts), f"{name} without {fact}"
            changed = re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 5) % 10), fact)
            wrong = changed != fact and is_right(", ".join([*before, changed, *after]), answer.facts)
            assert not wrong, f"{name} with {changed} for {fact}"


def _world_in(days: float) -> World:
    clock = Clock(ahead=days * 86400)
    world = World(Portal.seeded(SEED, clock), History.seeded(SEED, clock.now()), clock, SEED)
    plant(world)
    return world


def test_an_answer_is_right_however_it_is_dressed() -> None:
    facts = [["total 1234"], ["2026-11-10*", "10 November"], ["Rack 1, Node 3"]]
    assert is_right("**Total: 1,234**, since 2026-11-10T01:36Z, at `Rack 1, Node 3`.", facts)
    assert is_right("rack 1 node 3 – total = 1234 – 10 November 2026", facts)
    assert is_right("14:52Z", [["14:52"]])
    assert not is_right("total 12345, 10 November, Rack 1, Node 3", facts)
    assert not is_right("total 1234.5, 10 November, Rack 1, Node 3", facts)
    assert not is_right("", facts)


def test_the_report_counts_right_answers_calls_and_tokens() -> None:
    asked = [Question("first", "", 1, 1, 1, 1), Question("second", "", 1, 1, 1, 2)]
    facts = {"1": [["a 1"]], "2": [["b"]]}
    log = [Entry(LIST, {}, False, 5000), *[Entry("list_runs", {}, False, 10, 1)] * 5, Entry("get_run", {}, True, 7, 2)]
    told = report(asked, facts, {"1": "a: 1", "2": "c"}, log)
    assert "5 calls      50 tokens  right  more than 4 calls" in told
    assert "wrong: lacks b" in told
    assert "1 of 2 right" in told
    assert "6 calls (1 refused), 3.0 a question" in told
    assert "57 tokens of answers, 5000 of the tool list" in told
    assert "get_run 1, list_runs 5" in told


async def test_the_list_of_tools_is_shown_as_often_as_asked_and_counted_once(trial: Trial, tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    first, again = await show_tools(trial.url, log), await show_tools(trial.url, log)
    assert first == again
    assert '"name":"list_runs"' in first
    assert [entry.tool for entry in read_log(log)] == [LIST]


@pytest.mark.skipif(os.name == "nt", reason="the command is a shell's script")
def test_a_trial_has_all_that_an_agent_needs_and_is_scored(trial: Trial, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    write_folder(trial, folder)
    asked = json.loads((folder / "agent" / "questions.json").read_text(encoding="utf-8"))
    assert list(asked) == [str(question.number) for question in QUESTIONS]
    assert not any("{" in text for text in asked.values())
    command = [folder / "agent" / "call", "--question", "3", "get_unit", '{"serial_number": "no such unit"}']
    told = subprocess.run(command, cwd=folder / "agent", capture_output=True, encoding="utf-8", check=True).stdout
    assert "error" in json.loads(told)
    (folder / "agent" / "answers.json").write_text('{"3": "rokus 7"}', encoding="utf-8")
    command = [sys.executable, "-m", "tests.agents.score", folder]
    scored = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert scored.returncode == 1, scored.stderr
    assert "0 of 20 right" in scored.stdout
    assert "1 calls (1 refused)" in scored.stdout
