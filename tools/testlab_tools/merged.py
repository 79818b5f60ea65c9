"""One list of runs over several archives: newest first, one cursor, and what each service gave or why it did not."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2s
from heapq import merge
from itertools import islice
from typing import Any, cast

from testlab_tools.capabilities import RunArchive, Runs
from testlab_tools.errors import BadInput, LabError, ServiceError
from testlab_tools.models import Run, RunPage, ServiceShare
from testlab_tools.questions import RunQuery

MAX_CURSOR_BYTES = 10_000


@dataclass
class Place:
    """How far one service has been read: after which run, whether that was its last, and the total it stated first."""

    after: str = ""
    ended: bool = False
    total: int | None = None
    at_least: bool = False


@dataclass
class Cursor:
    """Where the next page begins in every service. `question` ties it to the arguments it was made for."""

    question: str
    since: datetime | None = None
    until: datetime | None = None
    places: dict[str, Place] = field(default_factory=lambda: dict[str, Place]())

    def write(self) -> str:
        """The cursor as tools hand it out."""
        places = {name: [p.after, int(p.ended), p.total, int(p.at_least)] for name, p in self.places.items()}
        body = [self.question, _text(self.since), _text(self.until), places]
        packed = zlib.compress(json.dumps(body, separators=(",", ":")).encode(), 9)
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def read(cls, text: str, question: str) -> Cursor:
        """Raises BadInput when it is not a cursor, or belongs to other arguments."""
        try:
            packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            asked, since, until, places = cast(list[Any], json.loads(_unpacked(packed)))
            read = {str(name): Place(str(p[0]), bool(p[1]), p[2], bool(p[3])) for name, p in places.items()}
            cursor = cls(str(asked), _moment(since), _moment(until), read)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, zlib.error):
            raise BadInput("The cursor is not one this tool gave", "", "Leave it out to start again.") from None
        if cursor.question != question:
            raise BadInput("The cursor belongs to other arguments", "", "Repeat them, or leave the cursor out.")
        return cursor


async def list_merged(
    archives: Sequence[RunArchive], query: RunQuery, limit: int, cursor: str, question: str
) -> RunPage:
    """One page over all `archives`. A service that fails is reported in its share; if all fail, an error is raised,
    since an outage is never an empty list: one of a service in trouble before one that cannot do it anyway."""
    key = blake2s(question.encode(), digest_size=6).hexdigest()
    start = Cursor.read(cursor, key) if cursor else Cursor(key, query.since, query.until)
    query = replace(query, since=start.since, until=start.until)
    asked = [a for a in archives if not start.places.get(a.name, Place()).ended]
    answers = await asyncio.gather(*(_ask(a, query, limit, start) for a in asked))
    failures = [a for a in answers if isinstance(a, LabError)]
    if failures and len(failures) == len(answers):
        raise next((failure for failure in failures if isinstance(failure, ServiceError)), failures[0])
    got = {a.name: answer for a, answer in zip(asked, answers, strict=True) if isinstance(answer, Runs)}
    lists = [[(run, name) for run in runs.runs] for name, runs in got.items()]
    # Merged, not sorted: a page must take the first runs of each service, even of one that orders them oddly.
    merged = merge(*lists, key=lambda item: item[0].started_at, reverse=not query.oldest_first)
    page = list(islice(merged, limit))
    places = {a.name: _next_place(a.name, start, got, page) for a in archives}
    errors = {a.name: answer for a, answer in zip(asked, answers, strict=True) if isinstance(answer, LabError)}
    shares = [_share(a.name, places[a.name], page, errors.get(a.name)) for a in archives]
    more = any(not place.ended for name, place in places.items() if name not in errors)
    after = Cursor(key, query.since, query.until, places).write() if more else ""
    return RunPage(runs=[run for run, _ in page], services=shares, cursor=after, note=_note(after, places, errors))


async def _ask(archive: RunArchive, query: RunQuery, limit: int, start: Cursor) -> Runs | LabError:
    try:
        return await archive.list_runs(query, limit, start.places.get(archive.name, Place()).after)
    except LabError as error:
        return error


def _next_place(name: str, start: Cursor, got: dict[str, Runs], page: list[tuple[Run, str]]) -> Place:
    before = start.places.get(name, Place())
    if name not in got:
        return before
    used = [run for run, service in page if service == name]
    runs = got[name]
    first = not before.after
    ended = len(used) == len(runs.runs) and not runs.more
    counted = len(used) if ended and runs.total is None else runs.total
    return Place(
        after=used[-1].position if used else before.after,
        ended=ended,
        total=counted if first else before.total,
        at_least=runs.at_least if first else before.at_least,
    )


def _share(name: str, place: Place, page: list[tuple[Run, str]], error: LabError | None) -> ServiceShare:
    """One in trouble says it whole; one that has nothing to do with the question, in few words."""
    shown = sum(service == name for _, service in page)
    said = "" if error is None else str(error) if isinstance(error, ServiceError) else error.what
    return ServiceShare(service=name, shown=shown, total=place.total, at_least=place.at_least, error=said)


def _note(cursor: str, places: dict[str, Place], errors: dict[str, LabError]) -> str:
    parts = ["More follow: pass cursor, with the same arguments."] if cursor else []
    if silent := [name for name, place in places.items() if place.total is None and name not in errors]:
        parts.append(f"How many match in all, {', '.join(silent)} {'does' if len(silent) == 1 else 'do'} not say.")
    if troubled := [name for name, error in errors.items() if isinstance(error, ServiceError)]:
        parts.append(f"Not in this list: {', '.join(troubled)} (see services).")
    return " ".join(parts)


def _unpacked(packed: bytes) -> bytes:
    """The whole of it: only at the stream's end does zlib tell, by its checksum, what was altered on the way."""
    stream = zlib.decompressobj()
    unpacked = stream.decompress(packed, MAX_CURSOR_BYTES)
    if not stream.eof:
        raise ValueError("the cursor was cut")
    return unpacked


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
