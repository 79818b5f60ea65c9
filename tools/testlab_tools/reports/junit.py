"""Reads JUnit XML, as Ant, pytest, Maven Surefire and Stb-tester write it: `testsuites`, or one `testsuite`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from junitparser import Attr, Error, Failure, JUnitXml, JUnitXmlError, Skipped
from junitparser.xunit2 import FlakyError, FlakyFailure, RerunError, RerunFailure, TestCase, TestSuite

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import NewPhase, NewRun, PhaseOutcome
from testlab_tools.reports.formats import read_root
from testlab_tools.reports.report import Report, format_count, make_ref
from testlab_tools.times import utc
from testlab_tools.untrusted import sanitize, shorten

_INTERIM: dict[type, tuple[PhaseOutcome, bool]] = {
    FlakyFailure: ("fail", True),
    FlakyError: ("error", True),
    RerunFailure: ("fail", False),
    RerunError: ("error", False),
}
"""Surefire's attempts besides the one that counts: how each ended, and whether it was before that one."""


class _CountedSuite(TestSuite):
    """A suite with the counts in the report: junitparser 5.0 counts anew when one of them is missing."""

    failures = Attr()
    errors = Attr()


class _Case(NamedTuple):
    """A test case: the outcome of each attempt, the messages of failures and errors, and counts of what is dropped."""

    name: str
    seconds: float
    outcome: PhaseOutcome
    attempts: tuple[PhaseOutcome, ...]
    said: tuple[str, ...]
    tracebacks: int
    outputs: int


class _Suite(NamedTuple):
    """A test suite without those inside it; `outcome` is by its own counts."""

    begun: datetime | None
    outcome: PhaseOutcome
    cases: tuple[_Case, ...]


MAX_TAGS = 200_000
"""Of a report: as elements they take some 100 MB."""


def read_junit(content: bytes, started_at: datetime | None = None) -> Report:
    """Read a report: a test case is a phase, `classname::name`; the run fails if one failed, else errs if one erred.

    JUnit has no serial number and no procedure. A report without timestamps needs `started_at`; test cases follow one
    another within a suite, as do suites without a timestamp. Test cases of the same name are numbered: JUnit has no
    attempts; Surefire's (`rerunFailure`, `flakyError`, ...) are kept as such. The messages of failures and errors
    become the notes. `ref` is made from the bytes.

    Raises:
        BadInput: it is no such report, declares a document type, or has no test case that ran. The error quotes nothing
            of it.
    """
    try:
        suites = [_read_suite(suite) for suite in _walk(_parse(content))]
        phases = tuple(_to_phases(suites, started_at))
    except (ValueError, OverflowError):
        raise _unreadable("A time or count in it is none") from None
    cases = [case for suite in suites for case in suite.cases]
    outcomes = {case.outcome for case in cases} | {suite.outcome for suite in suites if suite.outcome != "pass"}
    if not cases or outcomes <= {"skip"}:
        why = "All its test cases were skipped" if cases else "It has no test case"
        raise BadInput("The JUnit report is of no run that can be recorded", why, "Give the report of a run.")
    run = NewRun(
        procedure_id="",
        serial_number="",
        outcome="fail" if "fail" in outcomes else "error" if "error" in outcomes else "pass",
        started_at=min(phase.started_at for phase in phases),
        ended_at=max(phase.ended_at for phase in phases),
        ref=make_ref("junit", sha256(content).hexdigest()),
        notes=shorten("\n".join(f"{case.name}: {said}" for case in cases for said in case.said)),
        phases=phases,
    )
    tracebacks, outputs = sum(case.tracebacks for case in cases), sum(case.outputs for case in cases)
    return Report(run, (*format_count(tracebacks, "traceback"), *format_count(outputs, "captured output")))


def _parse(content: bytes) -> JUnitXml:
    if content.count(b"<") > MAX_TAGS:
        raise BadInput(
            "The report is too large", f"It has more than {MAX_TAGS} tags", "Split it, or record its run by create_run."
        )
    if read_root(content).name not in ("testsuites", "testsuite"):
        raise _unreadable("Its first element is neither testsuites nor testsuite")
    try:
        return JUnitXml.fromstring(content)
    except (SyntaxError, ValueError, JUnitXmlError):
        raise _unreadable("It is no XML, or breaks off") from None


def _walk(document: JUnitXml) -> Iterator[TestSuite]:
    """Every suite, inner ones after their outer. The flavour that knows Surefire's attempts reads all others too."""
    flavour: Any = _CountedSuite
    waiting = [flavour.fromelem(suite) for suite in reversed(list(document))]
    while waiting:
        suite = waiting.pop()
        yield suite
        waiting += reversed(list(suite.testsuites()))


def _read_suite(suite: Any) -> _Suite:
    """JUnit's schema has no zone in a timestamp; some writers give one."""
    stamp = str(suite.timestamp or "").strip()
    outcome: PhaseOutcome = "fail" if int(suite.failures or 0) else "error" if int(suite.errors or 0) else "pass"
    cases = tuple(_read_case(case) for case in suite.iterchildren(TestCase))
    return _Suite(utc(datetime.fromisoformat(stamp)) if stamp else None, outcome, cases)


def _read_case(case: Any) -> _Case:
    name, classname = sanitize(case.name or "").strip() or "test case", sanitize(case.classname or "").strip()
    seconds = float(case.time or 0)
    if not math.isfinite(seconds):
        raise ValueError("no length")
    results: list[Any] = list(case.result)
    outcome = _judge(results)
    troubles = [result for result in results if type(result) in (Failure, Error)]
    return _Case(
        f"{classname}::{name}" if classname else name,
        max(0.0, seconds),
        outcome,
        tuple(_list_attempts(list(case.interim_result), outcome)),
        tuple(_first_line(trouble) for trouble in troubles),
        sum(bool(trouble.text) for trouble in troubles),
        bool(case.system_out) + bool(case.system_err),
    )


def _judge(results: Iterable[object]) -> PhaseOutcome:
    kinds = {type(result) for result in results}
    return "fail" if Failure in kinds else "error" if Error in kinds else "skip" if Skipped in kinds else "pass"


def _list_attempts(others: list[object], outcome: PhaseOutcome) -> list[PhaseOutcome]:
    kinds = [_INTERIM[type(other)] for other in others if type(other) in _INTERIM]
    before: list[PhaseOutcome] = [kind for kind, first in kinds if first]
    after: list[PhaseOutcome] = [kind for kind, first in kinds if not first]
    return [*before, outcome, *after]


def _first_line(trouble: Any) -> str:
    return str(trouble.message or trouble.text or "").strip().partition("\n")[0] or "no message"


def _to_phases(suites: list[_Suite], started_at: datetime | None) -> Iterator[NewPhase]:
    """`started_at`, when given, replaces the timestamps of the suites."""
    seen: dict[str, int] = {}
    clock = started_at
    for suite in suites:
        clock = clock if started_at else suite.begun or clock
        for case in suite.cases:
            if clock is None:
                raise BadInput("The JUnit report does not say when it ran", "", "Give started_at as well.")
            count = seen[case.name] = seen.get(case.name, 0) + 1
            name = shorten(f"{case.name} ({count})" if count > 1 else case.name, 200)
            begun, clock = clock, clock + timedelta(seconds=case.seconds)
            for outcome in case.attempts:
                yield NewPhase(name, outcome, begun, clock)


def _unreadable(why: str) -> BadInput:
    return BadInput("The report is not JUnit XML", why, "Give the file whole, as the test framework wrote it.")
