"""Writes the runs that an archive lists to a CSV table or JUnit XML, page by page, in the words of list_runs."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

from testlab_tools.capabilities import Export, RunArchive
from testlab_tools.errors import BadReply
from testlab_tools.models.lab import Run
from testlab_tools.models.requests import RunQuery

PAGE = 200
COLUMNS = tuple(name for name, field in Run.model_fields.items() if not field.exclude)
"""Of a row of list_runs."""
_NOT_PASSED = {"fail": "failure", "error": "error", "stopped": "error", "skip": "skipped"}


async def export_listed(
    archive: RunArchive, query: RunQuery, form: Literal["csv", "junit"], write: Callable[[bytes], Awaitable[None]]
) -> Export:
    """Write all runs that match, in the query's order, holding one page of them at a time.

    Raises:
        BadReply: the list does not go on.
    """
    table: _Table = _CsvTable() if form == "csv" else _JunitTable()
    await write(table.begin(archive.name).encode())
    written, after = 0, ""
    while True:
        page = await archive.list_runs(query, PAGE, after)
        written += len(page.runs)
        await write(table.rows(page.runs).encode())
        if not page.more:
            break
        if not page.runs or page.runs[-1].position == after:
            raise BadReply(archive.name, f"The list of {archive.name} does not go on", "", "Nothing was saved.")
        after = page.runs[-1].position
    await write(table.end().encode())
    return Export(written, written, 1, COLUMNS if form == "csv" else ())


class _Table(ABC):
    @abstractmethod
    def begin(self, name: str) -> str: ...

    @abstractmethod
    def rows(self, runs: Sequence[Run]) -> str: ...

    @abstractmethod
    def end(self) -> str: ...


class _CsvTable(_Table):
    def begin(self, name: str) -> str:
        return _csv([COLUMNS])

    def rows(self, runs: Sequence[Run]) -> str:
        return _csv([[told.get(name, "") for name in COLUMNS] for told in map(_tell, runs)])

    def end(self) -> str:
        return ""


class _JunitTable(_Table):
    """A case a run: the rows tell no steps."""

    def begin(self, name: str) -> str:
        return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n<testsuite name={quoteattr(name)}>\n'

    def rows(self, runs: Sequence[Run]) -> str:
        return "".join(map(_case, runs))

    def end(self) -> str:
        return "</testsuite>\n</testsuites>\n"


def _case(run: Run) -> str:
    told = _tell(run)
    head = {"classname": run.station, "name": run.test, "time": f"{run.duration_s:g}", "timestamp": told["started_at"]}
    properties = "".join(
        f"<property name={quoteattr(name)} value={quoteattr(str(told[name]))}/>"
        for name in COLUMNS
        if name in told and name not in ("test", "started_at", "duration_s", "reason")
    )
    tag = _NOT_PASSED.get(run.outcome)
    inside = f"<{tag} message={quoteattr(run.reason)}>{escape(run.reason)}</{tag}>" if tag else ""
    attributes = " ".join(f"{name}={quoteattr(value)}" for name, value in head.items())
    return f"<testcase {attributes}><properties>{properties}</properties>{inside}</testcase>\n"


def _tell(run: Run) -> dict[str, Any]:
    """As list_runs tells it."""
    return run.model_dump(mode="json", exclude_defaults=True)


def _csv(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
