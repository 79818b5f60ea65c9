"""Reads JUnit XML, as Ant, CTest, Go's converters, Maven Surefire, pytest, Robot Framework and Stb-tester write it:
`testsuites`, or one `testsuite`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from junitparser import Attr, Error, Failure, JUnitXml, JUnitXmlError, Skipped
from junitparser.xunit2 import FlakyError, FlakyFailure, RerunError, RerunFailure, TestCase, TestSuite

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import NewPhase, NewRun, PhaseOutcome
from testlab_tools.reports.formats import read_root
from testlab_tools.reports.properties import Pairs, apply_properties, find_field, find_fields
from testlab_tools.reports.report import MAX_LOG, MAX_TRACEBACK, Report, UntimedReport, format_count, make_ref
from testlab_tools.times import utc
from testlab_tools.untrusted import sanitize, shorten, shorten_start

_INTERIM: dict[type, tuple[PhaseOutcome, bool]] = {
    FlakyFailure: ("fail", True),
    FlakyError: ("error", True),
    RerunFailure: ("fail", False),
    RerunError: ("error", False),
}
"""Surefire's attempts besides the one that counts: how each ended, and whether it was before that one."""


class _StatedCase(TestCase):
    """A test case with CTest's `status`: `disabled`; or `notrun` beside `skipped`, with a reason that begins with
    `SKIP_` where the test chose not to run, and not where its program is missing."""

    status = Attr()


class _CountedSuite(TestSuite):
    """A suite with the counts in the report: junitparser 5.0 counts anew when one of them is missing."""

    failures = Attr()
    errors = Attr()


class _Attempt(NamedTuple):
    """How a test case ended once."""

    outcome: PhaseOutcome
    reason: str = ""
    traceback: str = ""


class _Case(NamedTuple):
    """A test case: its attempts, the messages of failures and errors, and what it printed."""

    name: str
    seconds: float
    outcome: PhaseOutcome
    attempts: tuple[_Attempt, ...]
    said: tuple[str, ...]
    output: str
    properties: Pairs


class _Suite(NamedTuple):
    """A test suite without those inside it; `outcome` is by its own counts, `properties` are those around it too."""

    begun: datetime | None
    outcome: PhaseOutcome
    cases: tuple[_Case, ...]
    properties: Pairs
    host: str


class _Part(NamedTuple):
    """A test case of one unit, with its phases."""

    unit: str
    suite: _Suite
    case: _Case
    phases: tuple[NewPhase, ...]


MAX_TAGS = 200_000
"""Of a report: as elements they take some 100 MB."""


def read_junit(content: bytes, started_at: datetime | None = None) -> list[Report]:
    """Read a report: a test case is a phase, `classname::name`; the run fails if one failed, else errs if one erred.

    A report is one run, however many suites it has; where its test cases or suites name several serial numbers by
    their properties, one run a unit. JUnit has no serial number and no procedure but by properties. A report without
    timestamps needs `started_at`; test cases follow one another within a suite, as do suites without a timestamp. Test
    cases of the same name are numbered: JUnit has no attempts; Surefire's (`rerunFailure`, `flakyError`, ...) are kept
    as such. The messages of failures and errors become the notes. `ref` is made from the bytes.

    Raises:
        BadInput: it is no such report, declares a document type, or has no test case that ran. The error quotes nothing
            of it.
        UntimedReport: it does not say when it ran.
    """
    try:
        suites = list(_read_suites(_parse(content)))
        parts = list(_divide(suites, started_at))
    except (ValueError, OverflowError):
        raise _unreadable("A time or count in it is none") from None
    units = list(dict.fromkeys(part.unit for part in parts))
    if len([unit for unit in units if unit]) <= 1:
        return [_make_report(suites, parts, sha256(content).hexdigest())]
    digest = sha256(content).hexdigest()
    return [_make_report([], [part for part in parts if part.unit == unit], f"{digest} {unit}") for unit in units]


def _make_report(suites: list[_Suite], parts: list[_Part], digest: str) -> Report:
    """The report of the test cases of one unit. `suites` are those whose counts are all about it."""
    cases = [part.case for part in parts]
    outcomes = {case.outcome for case in cases} | {suite.outcome for suite in suites if suite.outcome != "pass"}
    if not cases or outcomes <= {"skip"}:
        why = "All its test cases were skipped" if cases else "It has no test case"
        raise BadInput("The JUnit report is of no run that can be recorded", why, "Give the report of a run.")
    phases = tuple(phase for part in parts for phase in part.phases)
    run = NewRun(
        procedure_id="",
        serial_number="",
        outcome="fail" if "fail" in outcomes else "error" if "error" in outcomes else "pass",
        started_at=min(phase.started_at for phase in phases),
        ended_at=max(phase.ended_at for phase in phases),
        ref=make_ref("junit", digest),
        notes=shorten("\n".join(f"{case.name}: {said}" for case in cases for said in case.said)),
        phases=phases,
    )
    outputs = [f"--- {case.name}\n{case.output}" for case in cases if case.output]
    hosts = {part.suite.host for part in parts}
    report = Report(
        run,
        format_count(len(outputs), "captured output"),
        station=hosts.pop() if len(hosts) == 1 else "",
        log=shorten_start("\n".join(outputs), MAX_LOG),
    )
    around = {id(part.suite): part.suite.properties for part in parts}.values()
    pairs = [pair for found in (*around, *(case.properties for case in cases)) for pair in found]
    described = apply_properties(report, pairs)
    return replace(described, run=replace(described.run, serial_number=parts[0].unit))


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


def _read_suites(document: Any) -> Iterator[_Suite]:
    """Every suite, inner ones after their outer, with what those around it say of unit and procedure. The flavour that
    knows Surefire's attempts reads all others too."""
    flavour: Any = _CountedSuite
    waiting: list[tuple[Any, dict[str, str]]] = [(flavour.fromelem(suite), {}) for suite in reversed(list(document))]
    while waiting:
        suite, around = waiting.pop()
        own = _list_properties(suite)
        known = find_fields(own)
        inherited = tuple(pair for pair in around.items() if pair[0] not in known)
        yield _read_suite(suite, (*inherited, *own))
        waiting += [(inner, around | known) for inner in reversed(list(suite.testsuites()))]


def _list_properties(element: Any) -> Pairs:
    """Surefire puts all of Java's system properties there, which say nothing of the run."""
    found = tuple((str(p.name or ""), str(p.value or "")) for p in element.properties())
    is_java = any(name == "java.vm.name" for name, _ in found)
    return () if is_java else found


def _read_suite(suite: Any, properties: Pairs) -> _Suite:
    """JUnit's schema has no zone in a timestamp; some writers give one."""
    stamp = str(suite.timestamp or "").strip()
    outcome: PhaseOutcome = "fail" if int(suite.failures or 0) else "error" if int(suite.errors or 0) else "pass"
    cases = tuple(_read_case(case) for case in suite.iterchildren(_StatedCase))
    host = shorten(str(suite.hostname or "").strip(), 200)
    begun = utc(datetime.fromisoformat(stamp)) if stamp else None
    return _Suite(begun, outcome, cases, properties, "" if host == "localhost" else host)


def _read_case(case: Any) -> _Case:
    name, classname = sanitize(case.name or "").strip() or "test case", sanitize(case.classname or "").strip()
    seconds = float(case.time or 0)
    if not math.isfinite(seconds):
        raise ValueError("no length")
    results: list[Any] = list(case.result)
    outcome = _judge(results)
    if case.status == "disabled":
        outcome = "skip"
    elif outcome == "skip" and case.status == "notrun" and not str(results[0].message).startswith("SKIP_"):
        outcome = "error"
    troubles = [result for result in results if type(result) in (Failure, Error, Skipped)]
    return _Case(
        name if classname in ("", name) else f"{classname}::{name}",
        max(0.0, seconds),
        outcome,
        tuple(_list_attempts(list(case.interim_result), _describe(outcome, troubles))),
        tuple(_first_line(trouble) for trouble in troubles if outcome != "skip"),
        "\n".join(str(text).strip() for text in (case.system_out, case.system_err) if text),
        _list_properties(case),
    )


def _judge(results: Iterable[object]) -> PhaseOutcome:
    kinds = {type(result) for result in results}
    return "fail" if Failure in kinds else "error" if Error in kinds else "skip" if Skipped in kinds else "pass"


def _list_attempts(others: list[Any], last: _Attempt) -> list[_Attempt]:
    kinds = [(*_INTERIM[type(other)], other) for other in others if type(other) in _INTERIM]
    before = [_describe(kind, [other]) for kind, first, other in kinds if first]
    after = [_describe(kind, [other]) for kind, first, other in kinds if not first]
    return [*before, last, *after]


def _describe(outcome: PhaseOutcome, troubles: list[Any]) -> _Attempt:
    texts = (getattr(trouble, "stack_trace", None) or trouble.text for trouble in troubles)
    text = "\n\n".join(str(text).strip() for text in texts if text)
    reason = "; ".join(_first_line(trouble) for trouble in troubles)
    return _Attempt(outcome, shorten(reason, 500), "" if outcome == "skip" else shorten_start(text, MAX_TRACEBACK))


def _first_line(trouble: Any) -> str:
    return str(trouble.message or trouble.text or "").strip().partition("\n")[0] or "no message"


def _divide(suites: list[_Suite], started_at: datetime | None) -> Iterator[_Part]:
    """The test cases with their phases and units. `started_at`, when given, replaces the timestamps of the suites."""
    seen: dict[tuple[str, str], int] = {}
    clock = started_at
    only = _find_only_unit(suites)
    for suite in suites:
        clock = clock if started_at else suite.begun or clock
        around = find_field("serial_number", suite.properties)
        for case in suite.cases:
            if clock is None:
                raise UntimedReport("The JUnit report does not say when it ran", "", "Give started_at as well.")
            unit = find_field("serial_number", case.properties) or around or only
            count = seen[unit, case.name] = seen.get((unit, case.name), 0) + 1
            name = shorten(f"{case.name} ({count})" if count > 1 else case.name, 200)
            begun, clock = clock, clock + timedelta(seconds=case.seconds)
            phases = [NewPhase(name, a.outcome, begun, clock, (), a.reason, a.traceback) for a in case.attempts]
            yield _Part(unit, suite, case, tuple(phases))


def _find_only_unit(suites: list[_Suite]) -> str:
    """The one serial number that is named anywhere; empty where there are several, or none."""
    sources = (pairs for suite in suites for pairs in (suite.properties, *(case.properties for case in suite.cases)))
    named = {find_field("serial_number", pairs) for pairs in sources} - {""}
    return named.pop() if len(named) == 1 else ""


def _unreadable(why: str) -> BadInput:
    return BadInput("The report is not JUnit XML", why, "Give the file whole, as the test framework wrote it.")
