"""HardPy's report: the JSON of a `ResultRunStore`, as HardPy 0.25 writes it to disk or to its database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator

from testlab_tools.errors import BadInput
from testlab_tools.questions import NewPhase, NewRun
from testlab_tools.reports.hardpy_measurement import Measured, measurement
from testlab_tools.reports.json_document import Framework, Seconds, Shape, digest, parsed, shaped
from testlab_tools.reports.report import Report, counted, ref_of
from testlab_tools.untrusted import capped, plain

_BY = Framework("a HardPy", "HardPy 0.25", "HardPy's JSON storage or CouchDB loader")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_RUN: dict[str, Literal["pass", "fail", "error", "stopped"]] = {
    "passed": "pass",
    "failed": "fail",
    "error": "error",
    "stopped": "stopped",
}
_CASE: dict[str, Literal["pass", "fail", "error", "skip"]] = {
    "passed": "pass",
    "failed": "fail",
    "error": "error",
    "stopped": "error",
    "run": "error",
    "skipped": "skip",
    "ready": "skip",
}


def _folded(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value


Status = Annotated[Literal["passed", "failed", "skipped", "error", "stopped", "run", "ready"], BeforeValidator(_folded)]
"""`ready`: not begun; `run`: begun and not ended."""


class _Case(Shape):
    status: Status
    start_time: Seconds | None = None
    stop_time: Seconds | None = None
    name: str | None = None
    assertion_msg: str | None = None
    msg: dict[str, Any] | None = None
    measurements: list[Measured] = []
    chart: dict[str, Any] | None = None
    attempt: int | None = None
    artifact: dict[str, Any] | None = None


class _Module(Shape):
    name: str | None = None
    cases: dict[str, _Case] = {}


class _Unit(Shape):
    serial_number: str | None = None


class _Dut(_Unit):
    name: str | None = None
    part_number: str | None = None
    revision: str | None = None
    sub_units: list[_Unit] | None = None
    info: dict[str, Any] | None = None


class _Named(Shape):
    name: str | None = None


class _Report(Shape):
    status: Status
    start_time: Seconds
    stop_time: Seconds
    name: str | None = None
    dut: _Dut
    process: _Named | None = None
    test_stand: _Named | None = None
    modules: dict[str, _Module]
    batch_serial_number: str | None = None
    error_code: int | str | None = None


_FIELDS = {n for s in (_Report, _Dut, _Named, _Module, _Case, Measured) for n in s.model_fields}


def hardpy_report(content: bytes) -> Report:
    """Read a report.

    The procedure is the process' name, else the project's. A case is a phase, `module: case`. HardPy keeps only the
    data of a case's last attempt, and the number of attempts: the notes tell it, beside what assertions said and the
    error code. What `dut.info` says and the stand's name become variables. A measurement that HardPy has not judged
    (`result` null) is compared with its limits.

    `ref` is made from the content, whether it has `id` and `rev` as on disk or `_id` and `_rev` as in the database.

    Raises:
        BadInput: it is no such report, or of a run that has not ended or tested nothing. Nothing in it is repeated.
    """
    body = parsed(content, _BY)
    report = shaped(body, _Report, _FIELDS, _BY)
    if report.status not in _RUN:
        raise BadInput(
            "The HardPy report is of no run that can be recorded",
            "Every case was skipped" if report.status == "skipped" else "The run had not ended when it was written",
            "Give the report of a finished run.",
        )
    started = _moment(report.start_time)
    cases = list(_named(report))
    run = NewRun(
        procedure_id=_text(report.process.name if report.process else None) or _text(report.name),
        serial_number=_text(report.dut.serial_number),
        outcome=_RUN[report.status],
        started_at=started,
        ended_at=max(started, _moment(report.stop_time)),
        ref=ref_of("hardpy", digest(_bare(body))),
        part_number=_text(report.dut.part_number),
        part_name=_text(report.dut.name),
        revision=_text(report.dut.revision),
        batch_number=_text(report.batch_serial_number) or _text((report.dut.info or {}).get("batch_number")),
        notes=capped("\n".join(_notes(report, cases))),
        phases=tuple(_phases(cases, started)),
        sub_units=tuple(filter(None, (_text(unit.serial_number) for unit in report.dut.sub_units or ()))),
        variables=tuple(_variables(report)),
    )
    return Report(run, tuple(_dropped([case for _, case in cases])))


def _bare(body: object) -> object:
    """Without the revision, which the database changes whenever it stores the report, and the id under one name."""
    fields = dict(cast(dict[str, object], body))
    for key in ("rev", "_rev"):
        fields.pop(key, None)
    if "_id" in fields:
        fields["id"] = fields.pop("_id")
    return fields


def _named(report: _Report) -> Iterator[tuple[str, _Case]]:
    """Every case with the name its phase gets; of cases named alike, the later are told apart by their keys."""
    seen: set[str] = set()
    for module_key, module in report.modules.items():
        for key, case in module.cases.items():
            name = f"{_text(module.name) or plain(module_key)}: {_text(case.name) or plain(key)}"
            name = f"{name} ({plain(module_key)}::{plain(key)})" if name in seen else name
            seen.add(name)
            yield capped(name), case


def _phases(cases: list[tuple[str, _Case]], clock: datetime) -> Iterator[NewPhase]:
    """A case that was not begun has no times: it stands where the one before it ended."""
    for name, case in cases:
        begun = clock if case.start_time is None else _moment(case.start_time)
        clock = begun if case.stop_time is None else max(begun, _moment(case.stop_time))
        measured = tuple(measurement(m, n) for n, m in enumerate(case.measurements, 1))
        yield NewPhase(name, _CASE[case.status], begun, clock, measured)


def _notes(report: _Report, cases: list[tuple[str, _Case]]) -> Iterator[str]:
    if report.error_code is not None:
        yield f"Error code {report.error_code}"
    for name, case in cases:
        if case.assertion_msg and case.status != "passed":
            yield f"{name}: {case.assertion_msg.strip()}"
        if (case.attempt or 1) > 1:
            yield f"{name}: {case.attempt} attempts, of which HardPy keeps the last"


def _dropped(cases: list[_Case]) -> Iterator[str]:
    yield from counted(sum((case.attempt or 1) - 1 for case in cases if (case.attempt or 1) > 1), "earlier attempt")
    yield from counted(sum(len(case.msg or ()) for case in cases), "message")
    yield from counted(sum(bool(case.chart) for case in cases), "chart")
    yield from counted(sum(bool(case.artifact) for case in cases), "artifact")
    yield "the test stand but its name"


def _variables(report: _Report) -> Iterator[tuple[str, str]]:
    """What somebody said about the unit, as far as it is text or a number, and where it was tested."""
    if stand := _text(report.test_stand.name if report.test_stand else None):
        yield "test_stand", stand
    for key, value in (report.dut.info or {}).items():
        if key != "batch_number" and (text := _text(value)):
            yield f"dut_{capped(key, 60)}", text


def _moment(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return capped(str(value).strip(), 200)
