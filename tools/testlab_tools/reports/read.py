"""Reads a report of any format that is read here, as the runs in it."""

from __future__ import annotations

from datetime import datetime

from testlab_tools.errors import BadInput, Unsupported
from testlab_tools.reports.formats import IMPORTERS, Format, detect_format
from testlab_tools.reports.report import Report, UntimedReport


def read_reports(content: bytes, name: str = "", started_at: datetime | None = None) -> list[Report]:
    """The runs in a report file, at least one.

    `name` is the file's. `started_at` is for a report that does not say when its run began (JUnit XML may not), its
    file's time, say.

    Raises:
        BadInput: the format is unknown, the report is damaged, or of no run. The error quotes nothing of it.
        Unsupported: it is of a format that only services read.
    """
    form = detect_format(content)
    try:
        return read_format(form, content)
    except UntimedReport:
        if started_at is None:
            raise
        return read_format(form, content, started_at)


def read_format(form: Format, content: bytes, started_at: datetime | None = None) -> list[Report]:
    """The runs in a report of this format; `started_at` replaces what a JUnit report says.

    Raises: as `read_reports`.
    """
    match form:
        case "junit":
            from testlab_tools.reports.junit import read_junit

            return read_junit(content, started_at)
        case _ if started_at is not None:
            raise BadInput("started_at cannot be changed", "The report says when its run began", "Leave it out.")
        case "testlab":
            from testlab_tools.reports.testlab_run import read_testlab_run

            return [read_testlab_run(content)]
        case "openhtf":
            from testlab_tools.reports.openhtf import read_openhtf

            return [read_openhtf(content)]
        case "hardpy":
            from testlab_tools.reports.hardpy import read_hardpy

            return [read_hardpy(content)]
        case _:
            raise Unsupported(
                f"{IMPORTERS[form]} reports are not read here", "Some services read them by themselves", ""
            )
