"""The stand: collects, selects, runs and stops its tests. What has come to pass is worked out when somebody asks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from testlab_sim.hardpy import documents
from testlab_sim.hardpy.documents import CASES, CaseSpec, Document, key_of
from testlab_sim.seeded_random import chance

if TYPE_CHECKING:
    from testlab_sim.world import Clock

STARTING_S = 8.0
COLLECTING_S = 4.0
"""At the pace of life; Python and the tests are imported first."""


@dataclass
class Testing:
    """A test process: the case it is at (None before the first), and when that ends or the first begins."""

    number: int
    cases: list[CaseSpec]
    until: float
    at: int = -1
    answer: str | None = None


@dataclass
class Stand:
    """What the panel has. `store` is its storage: "json" or "couchdb"."""

    live: Document = field(default_factory=lambda: documents.collected([]))
    runs: list[Document] = field(default_factory=list[Document])
    selected: list[str] = field(default_factory=list[str])
    choosing: bool = False
    store: str = "json"
    testing: Testing | None = None
    started: int = 0
    arguments: list[str] = field(default_factory=list[str])
    _collections: list[tuple[float, list[str]]] = field(default_factory=list[tuple[float, list[str]]])

    @classmethod
    def seeded(cls, now: float) -> Stand:
        """A stand with some weeks behind it."""
        return cls(runs=documents.history(now))

    def collect(self, selected: list[str], clock: Clock) -> bool:
        """Begin a collection, if no tests run; it shows a moment later."""
        if self.testing is not None:
            return False
        self._collections.append((clock.now() + clock.real(COLLECTING_S), list(selected)))
        return True

    def start(self, arguments: list[str], clock: Clock) -> bool:
        """Start the selected tests, if none run."""
        if self.testing is not None:
            return False
        self.started += 1
        self.arguments = arguments
        chosen = [spec for spec in CASES if not self.selected or key_of(spec) in self.selected]
        until = clock.now() + clock.real(STARTING_S)
        self.testing = Testing(documents.RUNS + self.started, chosen, until)
        return True

    def stop(self, clock: Clock) -> bool:
        """Stop the tests, if any run."""
        if self.testing is None:
            return False
        if self.testing.at >= 0:
            self.runs.append(documents.finish(self.live, clock.now(), stopped=True))
        self.testing = None
        return True

    def answer(self, result: str) -> None:
        """What the operator panel sends: taken by whatever waits."""
        if self.testing is not None and self._dialog() is not None:
            self.testing.answer = result

    def advance(self, clock: Clock) -> None:
        """Let happen what has happened by now."""
        now = clock.now()
        while self._collections and self._collections[0][0] <= now:
            _, selected = self._collections.pop(0)
            if self.testing is None:
                self.live = documents.collected(selected)
        while self.testing is not None and self._step(self.testing, now, clock):
            pass

    def _step(self, testing: Testing, now: float, clock: Clock) -> bool:
        """Go on with the tests by one case; False where they wait for time or for their operator."""
        if now < testing.until:
            return False
        at = testing.until
        if testing.at < 0:
            self.live = documents.collected([key_of(spec) for spec in testing.cases])
            self.live |= {"status": "run", "start_time": int(at)}
        else:
            spec = testing.cases[testing.at]
            if spec.dialog and testing.answer is None:
                return False
            at = now if spec.dialog else at
            self._case(spec)["dialog_box"] = {}
            documents.end(self.live, spec, at, testing.number, said_no=testing.answer == "failed")
            testing.answer = None
        testing.at += 1
        if testing.at == len(testing.cases):
            self.runs.append(documents.finish(self.live, at))
            self.testing = None
            return False
        spec = testing.cases[testing.at]
        documents.begin(self.live, spec, at, testing.number)
        if spec.dialog:
            self._case(spec)["dialog_box"] = self._box(spec, testing.number)
        testing.until = at + clock.real(spec.seconds)
        return True

    def _dialog(self) -> Document | None:
        testing = self.testing
        if testing is None or testing.at < 0:
            return None
        return self._case(testing.cases[testing.at]).get("dialog_box") or None

    def _case(self, spec: CaseSpec) -> Document:
        return self.live["modules"][spec.module]["cases"][spec.case]

    def _box(self, spec: CaseSpec, number: int) -> Document:
        return {
            "widget": {"type": "base", "info": {}},
            "image": None,
            "html": None,
            "dialog_text": spec.dialog,
            "title_bar": spec.name,
            "visible": True,
            "id": str(UUID(int=int(chance("hardpy dialog", number) * 2**64) << 64)),
            "font_size": 14,
            "pass_fail": True,
            "button_text": ["Green", "Not green"],
        }

    def rows(self) -> list[Document]:
        """As the panel lists its documents, in no order: here the live one, and runs that failed, come first."""
        runs = sorted(self.runs, key=lambda run: run["status"] != "failed")
        return [json.loads(json.dumps(document)) for document in [self.live, *runs]]
