"""Pages of the runs of several archives, merged into one list, and their counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any, cast, get_args

from testlab_tools.capabilities import FilterKeys, RunArchive, Runs
from testlab_tools.cursors import cursor_error, decode_cursor, encode_cursor
from testlab_tools.deadline import Deadline
from testlab_tools.errors import LabError, ServiceDown, ServiceError, Unsupported
from testlab_tools.fanout import ask_all
from testlab_tools.models.lab import Outcome, Run, RunPage, RunShare
from testlab_tools.models.requests import RunQuery
from testlab_tools.passport.histories import deduplicate

MAX_COUNTED = 20_000
"""Runs of one service that are counted in one call; beyond, a count is a lower bound."""
COUNT_SHARE = 0.8
"""Of a call's time, for counting."""


@dataclass
class Progress:
    """How far one service has been read: `after` is the position of the last run given, `total` the service's first
    statement and `by_outcome` what it counts, `given` how many of its runs the pages so far hold."""

    after: str = ""
    ended: bool = False
    total: int | None = None
    at_least: bool = False
    given: int = 0
    by_outcome: Mapping[Outcome, int] | None = None


@dataclass
class RunCursor:
    """Where the next page begins in every service, in the span of time that the first page was asked for."""

    since: datetime | None = None
    until: datetime | None = None
    services: dict[str, Progress] = field(default_factory=dict[str, Progress])

    def encode(self, question: str) -> str:
        """The cursor as tools return it; `question` are the arguments it belongs to."""
        services = {
            name: [p.after, int(p.ended), p.total, int(p.at_least), p.given, p.by_outcome]
            for name, p in self.services.items()
        }
        return encode_cursor(question, [_text(self.since), _text(self.until), services])

    @classmethod
    def decode(cls, text: str, question: str) -> RunCursor:
        """Raises BadInput when it is no cursor, or belongs to other arguments."""
        position = decode_cursor(text, question)
        try:
            since, until, services = position
            return cls(_moment(since), _moment(until), {str(n): _progress(*kept) for n, kept in services.items()})
        except (ValueError, TypeError, AttributeError):
            raise cursor_error() from None

    def progress(self, service: str) -> Progress:
        """How far a service has been read."""
        return self.services.get(service, Progress())


async def list_merged(
    archives: Sequence[RunArchive], query: RunQuery, limit: int, cursor: str, question: str
) -> RunPage:
    """One page of the runs of all `archives`, in the query's order; `question` are the arguments that a cursor is for.

    A service that fails is reported in its share.

    Raises:
        BadInput: `cursor` is none, or belongs to another question.
        LabError: all services failed; the most telling error.
    """
    start = RunCursor.decode(cursor, question) if cursor else RunCursor(query.since, query.until)
    query = replace(query, since=start.since, until=start.until)

    async def ask(archive: RunArchive) -> Runs:
        after = start.progress(archive.name).after
        try:
            return await archive.list_runs(query, limit, after)
        except (ValueError, TypeError, OverflowError):
            if not after:
                raise
            raise _StrangePosition from None

    try:
        answers = await ask_all([a for a in archives if not start.progress(a.name).ended], ask)
    except _StrangePosition:
        raise cursor_error() from None
    answers.require_any()
    page = _merge(answers.given, limit, query)
    services = {a.name: _advance(start.progress(a.name), a.name, answers.given.get(a.name), page) for a in archives}
    more = any(not progress.ended for name, progress in services.items() if name not in answers.failed)
    after = RunCursor(query.since, query.until, services).encode(question) if more else ""
    return _render(page, after, services, answers.failed, answers.given)


async def count_runs(archives: Sequence[RunArchive], query: RunQuery, deadline: Deadline) -> RunPage:
    """How many runs of all `archives` match, by outcome, without the runs.

    Raises LabError when all services failed; the most telling error.
    """
    answers = await ask_all(archives, lambda archive: _count(archive, query, deadline))
    answers.require_any()
    services = {
        a.name: Progress("", True, runs.total, runs.at_least, 0, runs.by_outcome) if runs else Progress()
        for a in archives
        for runs in [answers.given.get(a.name)]
    }
    return _render([], "", services, answers.failed, answers.given)


async def _count(archive: RunArchive, query: RunQuery, deadline: Deadline) -> Runs:
    """The service's own count if it is exact; else that of its runs, as far as they can be read in time."""
    pages: list[Runs] = []
    counted: Counter[Outcome] = Counter()
    ended = f"{archive.name} did not count its runs in time"
    try:
        async with deadline.timeout(COUNT_SHARE):
            while not pages or (pages[-1].more and pages[-1].runs and counted.total() < MAX_COUNTED):
                after = pages[-1].runs[-1].position if pages else ""
                page = await archive.list_runs(query, archive.count_page, after)
                if not after and page.by_outcome is not None and not page.at_least:
                    return page
                counted.update(run.outcome for run in page.runs)
                pages.append(page)
            ended = f"at most {MAX_COUNTED} are counted"
    except LabError as error:
        if not pages:
            raise
        ended = error.what
    if not pages:
        raise ServiceDown(archive.name, ended, "", "Narrow since or test.")
    note = f"Counted no further: {ended}." if pages[-1].more else pages[-1].note
    return pages[0]._replace(
        total=counted.total(), at_least=pages[-1].more or pages[-1].cut, by_outcome=counted, note=note
    )


class _StrangePosition(Exception):
    """A position in a cursor that its archive did not write."""


Merged = list[tuple[Run, str]]
"""Runs with the names of their services."""


def _merge(given: Mapping[str, Runs], limit: int, query: RunQuery) -> Merged:
    """The first runs of all. Merged, not sorted: a page takes the first runs of each service, even of one that orders
    them oddly."""
    lists = [[(run, name) for run in runs.runs] for name, runs in given.items()]

    def place(item: tuple[Run, str]) -> Any:
        return item[0].duration_s if query.longest_first else item[0].started_at

    return list(islice(merge(*lists, key=place, reverse=not query.oldest_first), limit))


def _advance(before: Progress, name: str, runs: Runs | None, page: Merged) -> Progress:
    if runs is None:
        return before
    used = [run for run, service in page if service == name]
    ended = len(used) == len(runs.runs) and not runs.more
    total, at_least = (before.total, before.at_least) if before.after else (runs.total, runs.at_least)
    by_outcome = before.by_outcome if before.after else runs.by_outcome
    given = before.given + len(used)
    if total is None or at_least:
        # At the end, what was given is the total; before, it is a lower bound as good as the service's own.
        whole = ended and not runs.cut
        total, at_least = (given, False) if whole else (total and max(total, given), at_least)
        by_outcome = None if whole and by_outcome and sum(by_outcome.values()) != given else by_outcome
    if by_outcome is None and ended and given == len(used):  # the first page is all there is
        by_outcome = Counter[Outcome](run.outcome for run in used)
    return Progress(used[-1].position if used else before.after, ended, total, at_least, given, by_outcome)


def _render(
    page: Merged,
    cursor: str,
    services: Mapping[str, Progress],
    failed: Mapping[str, LabError],
    given: Mapping[str, Runs],
) -> RunPage:
    keys = {name: runs.keys for name, runs in given.items() if runs.keys is not None}
    units = [run for run, _ in page if run.unit]
    twins = len(units) - len(deduplicate(units, list(services)))
    return RunPage(
        runs=[_with_short_revision(run) for run, _ in page],
        services=[_share(name, read, page, failed.get(name), given.get(name)) for name, read in services.items()],
        cursor=cursor,
        note=_note(cursor, services, failed, keys, twins),
    )


def _share(name: str, progress: Progress, page: Merged, error: LabError | None, runs: Runs | None) -> RunShare:
    shown = [run for run, service in page if service == name]
    keys = runs.keys if runs else None
    return RunShare(
        service=name,
        shown=len(shown),
        total=progress.total,
        at_least=progress.at_least,
        by_outcome=dict(progress.by_outcome or {}),
        cannot=cannot_of(error),
        error=short_error(error),
        note=runs.note if runs else "",
        keys_of_no_run=keys.lacking if keys else [],
        keys_of_runs=keys.carried if keys else [],
    )


def cannot_of(error: LabError | None) -> str:
    """What a service never does, which is no trouble of it; empty for other errors."""
    return error.what if isinstance(error, Unsupported) else ""


def short_error(error: LabError | None) -> str:
    """The whole error of a service in trouble; only what it is, of one that finds nothing of the kind. Empty where it
    is in `cannot_of`."""
    if error is None or isinstance(error, Unsupported):
        return ""
    return str(error) if isinstance(error, ServiceError) else error.what


def _with_short_revision(run: Run) -> Run:
    """A row names a git SHA by its first 12 characters."""
    return run.model_copy(update={"revision": run.revision[:12]}) if _SHA.fullmatch(run.revision) else run


_SHA = re.compile("[0-9a-f]{40}")


def _note(
    cursor: str,
    services: Mapping[str, Progress],
    failed: Mapping[str, LabError],
    keys: Mapping[str, FilterKeys],
    twins: int,
) -> str:
    parts = ["More follow: pass cursor, with the same arguments."] if cursor else []
    if silent := [name for name, progress in services.items() if progress.total is None and name not in failed]:
        parts.append(f"How many match in all, {', '.join(silent)} {'does' if len(silent) == 1 else 'do'} not say.")
    if bounded := [name for name, progress in services.items() if progress.at_least]:
        parts.append(f"{', '.join(bounded)}: the counts are lower bounds (at_least).")
    if silent or bounded:
        parts.append("limit=0 counts them." if cursor else "Narrow since or test.")
    if troubled := [name for name, error in failed.items() if isinstance(error, ServiceError)]:
        parts.append(f"Not in this list: {', '.join(troubled)} (see services).")
    if twins:
        parts.append(f"{twins} of these runs stand here twice, as two services keep them: totals count both.")
    for name, found in keys.items():
        parts.append(
            f"Nothing matches: none of {found.read} runs read of {name} has the filter's keys in keys_of_no_run. "
            "keys_of_runs are those that runs have."
        )
    return " ".join(parts)


def _progress(
    after: object, ended: object, total: object, at_least: object, given: object, by_outcome: object
) -> Progress:
    """A service's progress as `RunCursor.encode` writes it. Raises ValueError for another."""
    if not isinstance(after, str) or not isinstance(total, int | None) or not isinstance(given, int):
        raise ValueError("no progress")
    return Progress(after, bool(ended), total, bool(at_least), given, _counts(by_outcome))


def _counts(by_outcome: object) -> Mapping[Outcome, int] | None:
    counts = cast("dict[Any, object]", by_outcome) if isinstance(by_outcome, dict) else {}
    if any(name not in get_args(Outcome) or not isinstance(count, int) for name, count in counts.items()):
        raise ValueError("no counts")
    return cast("dict[Outcome, int]", counts) or None


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
