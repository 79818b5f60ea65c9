"""Stb-tester's results as they are asked for: their paths, and the grammar of its search box."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from unicodedata import category

from testlab_tools.adapters.stbtester.models import RESULT_ID, ResultRow, path_of
from testlab_tools.errors import BadInput, NotFound
from testlab_tools.models.requests import RunQuery
from testlab_tools.times import iso

ROW_LIMIT = 2_000
"""`GET /api/v2/results` returns the first 2,000 matches and no cursor ("Get list of test results", Notes)."""


def result_path(service: str, run_id: str) -> str:
    """The path of a result. Raises NotFound for what cannot be the id of one: those have four parts, jobs three."""
    parts = run_id.strip("/").split("/")
    if RESULT_ID.fullmatch(run_id.strip("/")):
        return f"/api/v2/results{path_of(run_id)}"
    raise NotFound(
        f"{service} has no such result",
        "Its run ids look like /<node>/<n>/<n>/<start>" + (", this is a job's" if len(parts) == 3 else ""),
        "list_runs shows the runs there are, and their job_uid.",
    ).naming(run_id)


def expression(query: RunQuery, dates: Iterable[str]) -> str:
    """The query in the portal's search grammar, as in its own examples: `job:/node/0a23/972`, space-separated."""
    terms: Iterable[str] = (
        f"job:{query.job}" if query.job else "",
        f"result:{query.outcome}" if query.outcome else "",
        f"node:{_quoted(query.station, 'station')}" if query.station else "",
        f"testcase:{_quoted(query.test, 'test')}" if query.test else "",
        f"category:{_quoted(query.category, 'category')}" if query.category else "",
        f"user:{_quoted(query.user, 'user')}" if query.user else "",
        *dates,
        query.text,
    )
    return " ".join(term for term in terms if term)


def around(since: datetime | None, until: datetime | None) -> list[str]:
    """Dates that leave nothing out of `since <= start < until`, and let some more in: who asks, sorts out."""
    return [
        *([f"date:>={iso(since)}"] if since else []),
        *([f"date:<={iso(until + timedelta(seconds=1))}"] if until else []),
    ]


def exact(operator: str, moment: datetime) -> str:
    """A date to the microsecond, in which results state theirs."""
    return f"date:{operator}{moment.isoformat(timespec='microseconds')}"


def matches(row: ResultRow, query: RunQuery) -> bool:
    """Whether a row is one asked for, however the portal read the expression."""
    return (
        (not query.outcome or row.result == query.outcome)
        and (not query.test or query.test in row.test_case)
        and (not query.station or row.node_id == query.station)
        and (not query.job or row.job_uid == query.job)
        and query.contains(row.start_time)
    )


def _quoted(text: str, argument: str) -> str:
    """A value as one term, whatever it holds. How the search reads other space than U+0020, control characters and
    backslashes is not documented: they might end the term."""
    if '"' in text:
        raise BadInput(f"{argument} holds a quotation mark", "Stb-tester's search has no way to write one", "")
    if any(one == "\\" or (one != " " and category(one) in _UNCLEAR) for one in text):
        raise BadInput(
            f"{argument} holds a character that Stb-tester's search may not take for a part of it",
            "A control character, a space of another kind than U+0020, or a backslash",
            "Leave it out: a part of the name finds it too.",
        )
    return f'"{text}"'


_UNCLEAR = ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")
"""Unicode's categories of what is not seen as a character."""
