"""The questions, as `questions.toml` has them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("questions.toml")


@dataclass(frozen=True)
class Question:
    """`ask` has gaps that the lab fills. `calls` and `tokens`: what the scripted solution takes. `could`: the calls it
    would take if the server had the whole answer where it is looked for."""

    name: str
    ask: str
    calls: int
    could: int
    tokens: int
    number: int

    def text(self, asked: Mapping[str, str]) -> str:
        """The question as it is put to an agent."""
        return self.ask.format(**asked)


def all_questions() -> list[Question]:
    """In order, numbered from 1."""
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))["question"]
    return [Question(**table, number=number) for number, table in enumerate(tables, 1)]
