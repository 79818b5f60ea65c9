"""Reads a report of any format that is read here, as the runs in it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from testlab_tools.errors import BadInput, Unsupported
from testlab_tools.reports.formats import IMPORTERS, Format, detect_format
from testlab_tools.reports.report import Report, UntimedReport

ALLURE_FILES = ("-result.json", "-container.json")


def is_allure(folder: Path) -> bool:
    """Whether a folder holds Allure results, which `read_allure` reads."""
    with os.scandir(folder) as entries:
        return any(entry.name.endswith(ALLURE_FILES[0]) for entry in entries)


def read_reports(content: bytes, name: str = "", started_at: datetime | None = None) -> list[Report]:
    """The runs in a report file, at least one.

    `name` is the file's, which tells a file of Allure results. `started_at` is for a report that does not say when its
    run began, as JUnit XML and CTRF may not: its file's time, say.

    Raises:
        BadInput: the format is unknown, the report is damaged, or of no run. The error quotes nothing of it.
        Unsupported: it is of a format that only services read.
    """
    form: Format = "allure" if name.endswith(ALLURE_FILES) else detect_format(content)
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
        case "ctrf":
            from testlab_tools.reports.ctrf import read_ctrf

            return [read_ctrf(content, started_at)]
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
        case "allure":
            raise BadInput("The report is one file of Allure results", "A run is the whole folder", "Give the folder.")
        case _:
            raise Unsupported(
                f"{IMPORTERS[form]} reports are not read here", "Some services read them by themselves", ""
            )
