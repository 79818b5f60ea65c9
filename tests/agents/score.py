"""`python -m tests.agents.score FOLDER`: how many of a trial's answers are right, and what they took.

Answers are a JSON object, the question's number to a text. An answer is right when it holds every essential fact, in
any of its wordings.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from tests.agents.call import LIST, Entry, read_log
from tests.agents.questions import Question, all_questions

MANY = 4
"""More calls than this are too many where one could have answered."""
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_BEFORE_TIME = re.compile(r"(?<=\d)T(?=\d\d:)")
_AFTER_TIME = re.compile(r"(?<=:\d\d)Z")
_MARKS = re.compile(r"[*`\"'(){}\[\]<>=,;:|/]+")


def is_right(answer: str, facts: Sequence[Sequence[str]]) -> bool:
    """Whether each fact is in the answer in one of its wordings."""
    return not missing(answer, facts)


def missing(answer: str, facts: Sequence[Sequence[str]]) -> list[str]:
    """The facts that are not in the answer, each in its first wording."""
    text = _plain(answer)
    return [wordings[0] for wordings in facts if not any(_holds(text, wording) for wording in wordings)]


def _holds(text: str, wording: str) -> bool:
    end = "" if wording.endswith("*") else r"(?!\w|\.\d)"
    return re.search(rf"(?<![\w.-]){re.escape(_plain(wording))}{end}", text) is not None


def _plain(text: str) -> str:
    """In small letters, without the marks that answers differ in."""
    spaced = _AFTER_TIME.sub("", _BEFORE_TIME.sub(" ", _THOUSANDS.sub("", text)))
    return " ".join(_MARKS.sub(" ", spaced).casefold().split())


def report(
    questions: Sequence[Question],
    facts: dict[str, list[list[str]]],
    given: dict[str, str],
    log: Sequence[Entry],
) -> str:
    """A line a question, and the totals. A call belongs to the question that its log says, if it says one."""
    lines, right, calls = [], 0, 0
    for question in questions:
        number = str(question.number)
        made = [entry for entry in log if entry.tool != LIST and entry.question == question.number]
        calls += len(made)
        lacking = missing(given.get(number, ""), facts[number])
        right += not lacking
        said = "right" if not lacking else f"wrong: lacks {', '.join(lacking)}"
        tokens = sum(entry.tokens for entry in made)
        over = f"  more than {MANY} calls" if len(made) > MANY and question.could == 1 else ""
        lines.append(f"{number:>2}  {question.name:<22} {len(made):>3} calls {tokens:>7} tokens  {said}{over}")
    made = [entry for entry in log if entry.tool != LIST]
    listed = next((entry.tokens for entry in log if entry.tool == LIST), 0)
    failed = sum(entry.error for entry in made)
    lines += [
        "",
        f"{right} of {len(questions)} right",
        f"{len(made)} calls ({failed} refused), {len(made) / len(questions):.1f} a question",
        f"{sum(entry.tokens for entry in made)} tokens of answers, {listed} of the tool list",
    ]
    if len(made) > calls:
        lines.append(f"{len(made) - calls} calls name no question")
    return "\n".join([*lines, "", "calls by tool: " + _by_tool(made)])


def _by_tool(made: Sequence[Entry]) -> str:
    names = sorted(entry.tool for entry in made)
    return ", ".join(f"{name} {len(list(group))}" for name, group in groupby(names)) or "none"


def main() -> int:
    """Print the report; the exit code is 0 if all answers are right."""
    parser = argparse.ArgumentParser("tests.agents.score", description=__doc__)
    parser.add_argument("folder", type=Path, help="the trial's, as tests.agents.serve made it")
    parser.add_argument("--answers", type=Path, help="where they are if not in FOLDER/agent/answers.json")
    parser.add_argument("--log", type=Path, help="where it is if not in FOLDER/calls.jsonl")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    facts = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    given = json.loads((arguments.answers or folder / "agent" / "answers.json").read_text(encoding="utf-8"))
    log = read_log(arguments.log or folder / "calls.jsonl")
    sys.stdout.write(report(all_questions(), facts, given, log) + "\n")
    return 0 if all(is_right(given.get(number, ""), facts[number]) for number in facts) else 1


if __name__ == "__main__":
    sys.exit(main())
