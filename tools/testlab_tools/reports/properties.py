"""What a report says of its unit and procedure by named values, where its format has no fields for them: properties of
JUnit, metadata of Robot Framework, environment of Allure and CTRF."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from testlab_tools.models.requests import NewRun
from testlab_tools.reports.report import Report
from testlab_tools.untrusted import sanitize, shorten

_NAMES = {
    "serial_number": ("serial_number", "serial", "sn", "dut_id"),
    "procedure_id": ("procedure_id", "procedure"),
    "procedure_name": ("procedure_name",),
    "procedure_version": ("procedure_version",),
    "part_number": ("part_number", "pn"),
    "part_name": ("part_name",),
    "revision": ("revision", "part_revision"),
    "batch_number": ("batch_number", "batch", "lot"),
    "station": ("station", "station_id", "station_name"),
    "operator": ("operator",),
}
MAX_CHARS = 200
MAX_VARIABLES = 100


def _fold(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


_FIELDS = {_fold(name): field for field, names in _NAMES.items() for name in names}

Pairs = Sequence[tuple[str, str]]


def find_field(field: str, pairs: Pairs) -> str:
    """The value of a field; empty where it has none, or two that differ."""
    values = {sanitize(value).strip() for name, value in pairs if _FIELDS.get(_fold(name)) == field} - {""}
    value = values.pop() if len(values) == 1 else ""
    return value if len(value) <= MAX_CHARS else ""


def find_fields(pairs: Pairs) -> dict[str, str]:
    """The fields that have a value."""
    return {field: value for field in _NAMES if (value := find_field(field, pairs))} if pairs else {}


def apply_properties(report: Report, pairs: Pairs) -> Report:
    """The report with what its properties say; the others become variables. Case, spaces, `-` and `_` of a name do not
    count. A field with two values that differ has none."""
    given = list(dict.fromkeys(pairs))
    found = {field: find_field(field, given) for field in _NAMES}
    others = [(name, value) for name, value in given if not found.get(_FIELDS.get(_fold(name), ""))]
    variables = tuple((shorten(name.strip(), MAX_CHARS), shorten(value)) for name, value in others if name.strip())
    run: NewRun = replace(
        report.run,
        serial_number=found["serial_number"],
        procedure_id=found["procedure_id"],
        procedure_name=found["procedure_name"],
        procedure_version=found["procedure_version"],
        part_number=found["part_number"],
        part_name=found["part_name"],
        revision=found["revision"],
        batch_number=found["batch_number"],
        variables=(*report.run.variables, *variables[:MAX_VARIABLES]),
    )
    return replace(
        report, run=run, station=found["station"] or report.station, operator=found["operator"] or report.operator
    )
