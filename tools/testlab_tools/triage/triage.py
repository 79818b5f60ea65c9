"""Triage: failures of all services by cause. Collect, compare, conclude, render: each step is a module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from testlab_tools.capabilities import FailureArchive, RunArchive
from testlab_tools.cursors import cursor_error, decode_cursor, encode_cursor
from testlab_tools.deadline import Deadline
from testlab_tools.models.requests import RunQuery
from testlab_tools.triage.breaks import collect_breaks
from testlab_tools.triage.causes import GroupBy
from testlab_tools.triage.collect import Window, collect_failures, collect_passes
from testlab_tools.triage.compare import Sort, compare
from testlab_tools.triage.conclude import classify
from testlab_tools.triage.rendering import Page, Triage, render


@dataclass(frozen=True)
class TriageOrder:
    """What is asked of a triage besides the query: words of the message, how to group and sort, and which page.

    `question` are the arguments that a cursor is for.
    """

    reason: str
    group_by: GroupBy
    sort: Sort
    limit: int
    cursor: str
    question: str


async def triage_failures(
    archives: Sequence[FailureArchive],
    mute: Sequence[RunArchive],
    query: RunQuery,
    order: TriageOrder,
    deadline: Deadline,
) -> Triage:
    """A page of the causes in the query's window (its `since` is set). `mute` hold runs but list no failures.

    Raises:
        BadInput: the cursor is none, or belongs to other arguments.
        LabError: every service failed; the most telling error.
    """
    start = 0
    if order.cursor:
        since, until, start = _read_position(decode_cursor(order.cursor, order.question))
        query = replace(query, since=since, until=until)
    window = Window.of(query)
    collected = await collect_failures(archives, query, order.reason, window, deadline)
    data = compare(collected, window, bool(query.station), order.group_by)
    every = data.order(order.sort)
    shown = every[start : start + order.limit]
    wanted = [(cause.service, test) for cause in shown for test in data.compared_tests(cause)]
    data.passes = await collect_passes(archives, query, window, wanted, deadline)
    verdicts = {cause: classify(data.classification_input(cause)) for cause in shown}
    breaks = await collect_breaks(archives, query, data, verdicts, deadline)

    def cursor_at(place: int) -> str:
        position = [window.since.isoformat(), window.until.isoformat(), place]
        return encode_cursor(order.question, position) if place < len(every) else ""

    return render(data, verdicts, breaks, mute, Page(start, every[:start], cursor_at))


def _read_position(position: Any) -> tuple[datetime, datetime, int]:
    try:
        since, until, start = position
        moments = datetime.fromisoformat(since), datetime.fromisoformat(until)
    except (ValueError, TypeError):
        raise cursor_error() from None
    if not isinstance(start, int) or start < 0 or any(moment.tzinfo is None for moment in moments):
        raise cursor_error()
    return *moments, start
