"""OpenHTF's JSON (openhtf 1.6.3, `output/callbacks/json_factory.py`) to a run, with its limits, which it has only as
text (`util/validators.py`)."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, cast

from testlab_sim.production.history import History
from testlab_sim.production.records import (
    Attachment,
    Detail,
    LogLine,
    Measurement,
    Phase,
    Procedure,
    Series,
    Validator,
    limit_of,
)
from testlab_sim.tofupilot.intake import Draft, Unreadable, count_attempts, part_number_in

_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
_OUTCOMES = ("PASS", "FAIL", "ERROR", "TIMEOUT", "ABORTED")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOUND = re.compile(rf"(Marginal:)?({_NUMBER})")
_RANGE = re.compile(rf"(?:(?:Marginal:)?{_NUMBER} <= )*x(?: <= (?:Marginal:)?{_NUMBER})*")
_MATCH = re.compile(r"'?x'? matches /(.*)/", re.S)
_NEEDED = ("dut_id", "start_time_millis", "end_time_millis", "outcome", "phases", "metadata")


def read(history: History, data: bytes, now: float) -> list[Draft]:
    """One draft, with the attachments whose content is inside the JSON (`inline_attachments=True`)."""
    report = _report(data)
    metadata: dict[str, Any] = report["metadata"]
    serial = str(report["dut_id"] or "")
    if not serial:
        raise Unreadable("dut_id is empty")
    phases: list[dict[str, Any]] = report["phases"]
    return [
        Draft(
            _procedure(history, metadata, now),
            serial,
            report["outcome"],
            report["start_time_millis"] / 1000,
            report["end_time_millis"] / 1000,
            str(metadata.get("part_number") or part_number_in(serial) or "UNKNOWN"),
            str(metadata.get("part_name") or ""),
            str(metadata.get("revision") or ""),
            str(metadata.get("batch_number") or ""),
            str(metadata.get("procedure_version") or metadata.get("test_version") or ""),
            str(metadata.get("operated_by") or metadata.get("operator") or ""),
            metadata={"station_id": str(report.get("station_id") or "")},
            detail=Detail(
                count_attempts([_phase(phase) for phase in phases]),
                [_log(line) for line in report.get("log_records") or ()] + _details(report),
                _inline(history, phases),
            ),
        )
    ]


def _report(data: bytes) -> dict[str, Any]:
    try:
        report = json.loads(data, parse_constant=str)
    except ValueError:
        raise Unreadable("not JSON") from None
    missing = [key for key in _NEEDED if not isinstance(report, dict) or key not in report]
    if missing:
        raise Unreadable(f"{', '.join(missing)} missing")
    if report["outcome"] not in _OUTCOMES:
        raise Unreadable(f"outcome {report['outcome']!r} unknown")
    return cast("dict[str, Any]", report)


def _procedure(history: History, metadata: dict[str, Any], now: float) -> Procedure:
    short, name = str(metadata.get("procedure_id") or ""), str(metadata.get("procedure_name") or "")
    for key in (short, name):
        if key and (known := history.find_procedure(key)):
            return known
    name = name or str(metadata.get("test_name") or "openhtf_test")
    return history.find_procedure(name) or history.procedure_named(name, short, now)


def _phase(item: dict[str, Any]) -> Phase:
    outcome = item["outcome"] if item["outcome"] in ("PASS", "FAIL", "SKIP", "ERROR") else "ERROR"
    begun = (item.get("start_time_millis") or 0) / 1000
    ended = (item.get("end_time_millis") or 0) / 1000
    measurements = [_measurement(key, m) for key, m in item["measurements"].items()]
    return Phase(item["name"], outcome, begun, max(begun, ended), 0, measurements)


def _measurement(name: str, item: dict[str, Any]) -> Measurement:
    outcome = item["outcome"] if item["outcome"] in ("PASS", "FAIL") else "UNSET"
    made = Measurement(name, outcome, item.get("measured_value"), _suffix(item.get("units")))
    if item.get("dimensions") and isinstance(made.value, list):
        made.series = _series(item, made)
    made.validators = [v for text in item.get("validators") or () for v in _validators(text, made)]
    return made


def _series(item: dict[str, Any], made: Measurement) -> list[Series] | None:
    """One axis per dimension and one of values: OpenHTF keeps rows of coordinates and value."""
    axes: list[dict[str, Any]] = item["dimensions"]
    rows = [row for row in cast("list[list[Any]]", made.value) if len(row) == len(axes) + 1]
    columns = list(zip(*rows, strict=True))
    if not columns or not all(isinstance(v, int | float) for column in columns for v in column):
        return None
    named = [(_suffix(axis), axis.get("name")) for axis in axes] + [(made.units, made.name)]
    return [Series(list(column), units, name) for column, (units, name) in zip(columns, named, strict=True)]


def _suffix(units: dict[str, Any] | None) -> str | None:
    return (units.get("suffix") or units.get("name") or None) if units else None


def _log(line: dict[str, Any]) -> LogLine:
    level = _LEVELS.get(line["level"], "INFO")
    return LogLine(level, line["timestamp_millis"] / 1000, line["message"], line["source"], line["lineno"])


def _details(report: dict[str, Any]) -> list[LogLine]:
    """`outcome_details` as log lines: they say why a run ended with ERROR."""
    at = report["end_time_millis"] / 1000
    return [
        LogLine("ERROR", at, f"{item.get('code')}: {item.get('description')}", "outcome_details", 0)
        for item in report.get("outcome_details") or ()
    ]


def _inline(history: History, phases: list[dict[str, Any]]) -> list[Attachment]:
    files = [(name, file) for phase in phases for name, file in phase["attachments"].items() if "data" in file]
    return [
        history.uploads.keep(
            name, str(file.get("mimetype") or "application/octet-stream"), base64.b64decode(file["data"])
        )
        for name, file in files
    ]


def _validators(text: str, item: Measurement) -> list[Validator]:
    """A text that is no range and no pattern is kept as an expression alone."""
    if text != "x" and _RANGE.fullmatch(text):
        return _range(text, item)
    if found := _MATCH.fullmatch(text):
        return [Validator("matches", found[1], text, item.outcome)]
    return [Validator(None, None, text, item.outcome)]


def _range(text: str, item: Measurement) -> list[Validator]:
    """`4.85 <= Marginal:4.9 <= x <= Marginal:5.1 <= 5.15`: marginal bounds warn, the others decide."""
    lower, _, upper = text.partition("x")
    return [
        limit_of(operator, float(number), item.value, decisive=not marginal)
        for operator, bounds in ((">=", lower), ("<=", upper))
        for marginal, number in _BOUND.findall(bounds)
    ]
