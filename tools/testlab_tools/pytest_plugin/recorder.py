"""Makes one run of a pytest session: an attempt of a test is a phase."""

from __future__ import annotations

import platform
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun, PhaseOutcome, RunOutcome
from testlab_tools.pytest_plugin import FIELDS, read_option, take_measured
from testlab_tools.pytest_plugin.delivery import Delivery
from testlab_tools.reports.report import MAX_LOG, MAX_TRACEBACK
from testlab_tools.untrusted import sanitize, shorten, shorten_start

_WORST: dict[PhaseOutcome, int] = {"pass": 0, "skip": 1, "error": 2, "fail": 3}


@dataclass
class _Attempt:
    """A test as it runs; `begun` and `ended` are seconds since the epoch."""

    name: str
    begun: float
    ended: float
    outcome: PhaseOutcome = "pass"
    reason: str = ""
    traceback: str = ""
    measured: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def to_phase(self) -> NewPhase:
        begun = _to_datetime(self.begun)
        measured = tuple(NewMeasurement(**m) for m in self.measured)
        ended = max(begun, _to_datetime(self.ended))
        return NewPhase(self.name, self.outcome, begun, ended, measured, self.reason, self.traceback)


class Recorder:
    """Collects what the tests of a session did, workers' too, and delivers the run when it ends."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._delivery = Delivery.from_config(config)
        self._begun = time.time()
        self._attempts: list[_Attempt] = []
        self._open: dict[tuple[str, str], _Attempt] = {}
        self._running: dict[str, float] = {}
        self._item: pytest.Item | None = None
        self._units: list[dict[str, str]] = []
        self._log: list[str] = []
        self._room = MAX_LOG
        self._told: list[str] = []
        self._is_cut = self._is_stopped = False
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Remember the test that runs in this process."""
        self._item = item

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember the tests that run, in workers too."""
        self._running[nodeid] = time.time()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add setup, call or teardown to its attempt. pytest-rerunfailures begins the next one with a setup;
        pytest-xdist makes a report without times of a worker that crashed."""
        key = (report.nodeid, str(getattr(report, "worker_id", "")))
        told = cast("dict[str, Any]", getattr(report, "testlab", {}))
        if report.when == "setup" or key not in self._open:
            begun = report.start or self._running.get(report.nodeid, time.time())
            attempt = self._open[key] = _Attempt(shorten(report.nodeid, 200), begun, begun)
            self._attempts.append(attempt)
        attempt = self._open[key]
        attempt.ended = report.stop or time.time()
        attempt.measured += told.get("measured", [])
        self._add_unit(told.get("unit", {}))
        outcome = _judge(report)
        if _WORST[outcome] > _WORST[attempt.outcome]:
            attempt.outcome = outcome
            attempt.reason = shorten(_explain(report), 500)
            attempt.traceback = "" if outcome == "skip" else shorten_start(report.longreprtext, MAX_TRACEBACK)
        if report.when == "teardown":
            self._add_log(report)
            del self._open[key]
            self._running.pop(report.nodeid, None)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be collected is an error of the run."""
        if report.failed:
            now = time.time()
            trace = shorten_start(report.longreprtext, MAX_TRACEBACK)
            self._attempts.append(_Attempt(shorten(report.nodeid, 200), now, now, "error", "collecting failed", trace))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """The session is stopped, by a person, a signal or `pytest.exit`; or cut by pytest itself, after errors in
        collecting, say."""
        self._is_cut = True
        self._is_stopped = not isinstance(excinfo.value, pytest.Session.Interrupted)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Deliver the run. A run that was lost makes a session that went well fail."""
        if self._item is not None and (attempt := self._open.get((self._item.nodeid, ""))):
            attempt.measured += take_measured(self._item)
        for nodeid, begun in self._running.items() if self._is_stopped else ():
            self._stop(nodeid, begun)
        outcome = self._judge_run(exitstatus)
        if outcome is None:
            self._told.append("no test ran: nothing is recorded")
            return
        unit = self._find_unit()
        run = self._make_run(outcome, unit)
        log = "\n".join(self._log)
        delivered = self._delivery.deliver(
            run, unit.get("station", "") or platform.node(), unit.get("operator", ""), log
        )
        self._told += delivered.told
        if not delivered.safe and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the run went."""
        terminalreporter.section("testlab")
        for line in self._told:
            terminalreporter.line(line)

    def _add_unit(self, unit: dict[str, str]) -> None:
        if unit and unit not in self._units:
            self._units.append(unit)

    def _add_log(self, report: pytest.TestReport) -> None:
        """What a test printed and logged, as long as there is room."""
        for title, text in report.sections:
            entry = sanitize(f"--- {report.nodeid}: {title}\n{text.rstrip()}")
            if self._room <= 0:
                return
            self._log.append(entry if len(entry) <= self._room else f"{entry[: self._room]}\n… the rest is left out")
            self._room -= len(entry)

    def _stop(self, nodeid: str, begun: float) -> None:
        """End a test that was running when the session was stopped."""
        found = [attempt for (name, _), attempt in self._open.items() if name == nodeid]
        attempt = found[0] if found else _Attempt(shorten(nodeid, 200), begun, time.time())
        if not found:
            self._attempts.append(attempt)
        attempt.ended = time.time()
        attempt.outcome, attempt.reason = "error", attempt.reason or "stopped while it ran"

    def _judge_run(self, exitstatus: int) -> RunOutcome | None:
        """The run's outcome by the last attempt of each test; None where no test ran."""
        outcomes = {attempt.outcome for attempt in {a.name: a for a in self._attempts}.values()}
        if self._is_stopped:
            return "stopped"
        if "fail" in outcomes:
            return "fail"
        if "error" in outcomes or exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            return "error"
        if self._is_cut:
            return "stopped"
        return "pass" if "pass" in outcomes else None

    def _find_unit(self) -> dict[str, str]:
        """The fields by options, fixture and ini; where workers' fixtures differ in one, it is not known."""
        found: dict[str, str] = {}
        for name, (field_name, _) in FIELDS.items():
            named = {unit[field_name] for unit in self._units if unit.get(field_name)}
            option = str(self._config.getoption(f"testlab_{name.replace('-', '_')}") or "")
            if len(named) > 1:
                self._told.append(f"workers name different units: {field_name} is left out")
                value = option
            else:
                value = option or "".join(named) or read_option(self._config, name)
            found[field_name] = sanitize(value).strip()
        return found

    def _make_run(self, outcome: RunOutcome, unit: dict[str, str]) -> NewRun:
        phases = tuple(attempt.to_phase() for attempt in self._attempts)
        told = [f"{phase.name}: {phase.reason}" for phase in phases if phase.outcome in ("fail", "error")]
        begun = _to_datetime(min([self._begun, *(attempt.begun for attempt in self._attempts)]))
        return NewRun(
            procedure_id=unit["procedure_id"],
            serial_number=unit["serial_number"],
            outcome=outcome,
            started_at=begun,
            ended_at=max([_to_datetime(time.time()), begun, *(phase.ended_at for phase in phases)]),
            ref=str(uuid4()),
            part_number=unit["part_number"],
            revision=unit["revision"],
            batch_number=unit["batch_number"],
            procedure_version=unit["procedure_version"],
            notes=shorten("\n".join(told)),
            phases=phases,
        )


def _judge(report: pytest.TestReport) -> PhaseOutcome:
    """A failure outside the test itself is an error; an expected failure is a skip; `rerun` is a failed attempt."""
    if report.outcome == "skipped":
        return "skip"
    if report.outcome == "passed":
        return "pass"
    return "fail" if report.when == "call" else "error"


def _explain(report: pytest.TestReport) -> str:
    """The first line of what went wrong, or why the test was skipped."""
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        return f"expected to fail: {expected}".rstrip(": ")
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else report.longreprtext.strip().rpartition("\n")[2]
    return text.strip().partition("\n")[0].removeprefix("Failed: ")


def _to_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
