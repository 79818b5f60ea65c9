"""A list of StandCloud, read as far as it is needed.

The public API's document speaks of limits and offsets, the vendor's client says "not paginated", and the order of rows
is nowhere documented. So a list is asked for by pages and what comes is believed, not what was asked:

- more rows than the limit: the server does not page, and this is the whole;
- each further page begins with the last row known; one that does not go on from there is no page, and the whole is
  asked for without limit and offset. So is a list that is empty with them, where they could count as filters;
- a page shorter than asked is the last, unless the server may cap them: then one more request tells.

StandCloud documents no order and no filter by time. Where the rows come newest first (or oldest first, if that is asked
for), reading stops as soon as no later row can belong to the page; else all are read and put in order here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import RunQuery
from testlab_tools.times import EARLIEST, utc

FIRST, MORE = 100, 1000
Body = dict[str, Any]


class Row(NamedTuple):
    """A row with its place in the list; `key` is its start and its id, by which lists are ordered here."""

    key: tuple[datetime, str]
    offset: int
    body: Body

    @property
    def moment(self) -> datetime:
        return self.key[0]


@dataclass
class PagingTraits:
    """What was learned of a server: the longest page it gave, and how long a page it lets itself be asked for."""

    longest: int = 0
    step: int = MORE


@dataclass
class Listing:
    """Rows of one list, none twice.

    `ask` fetches what some parameters give, `id_of` tells rows apart, `keep` whether one is wanted. `rows` are those
    wanted; `frontier` is the start of the last row read, `whole` says that none follows it; `cut`, that some do which
    the server gives no way to.
    """

    ask: Callable[[Mapping[str, int]], Awaitable[list[Body]]]
    id_of: Callable[[Body], str]
    keep: Callable[[Body, datetime], bool]
    traits: PagingTraits
    rows: list[Row] = field(default_factory=lambda: list[Row]())
    frontier: datetime | None = None
    falling: bool = True
    rising: bool = True
    whole: bool = False
    cut: bool = False
    begun_at: int = 0
    _end: int = 0
    _known: set[str] = field(default_factory=lambda: set[str]())

    async def read(
        self, enough: Callable[[Listing], bool], at: int = 0, follows: Callable[[Body], bool] = bool
    ) -> None:
        """Read until it is `enough`, from the row at `at` or, when what stands there does not follow, from before."""
        await self._open(at, follows)
        while not self.whole and not enough(self):
            await self._go_on()

    async def pages(self, at: int = 0, follows: Callable[[Body], bool] = bool) -> AsyncGenerator[list[Row], None]:
        """The rows a page at a time, which are not kept here; all of them once more where the list is read anew."""
        await self._open(at, follows)
        while True:
            page, self.rows = self.rows, []
            yield page
            if self.whole:
                return
            await self._go_on()

    @property
    def read_to(self) -> int:
        """How many rows stand before the next page."""
        return self._end

    async def _open(self, at: int, follows: Callable[[Body], bool]) -> None:
        page = await self._first(at)
        while at and not (page and follows(page[0])):
            at = max(0, at - FIRST)
            page = await self._first(at)
        if not page:
            # Where a limit has been understood before, an empty list is one.
            self.whole = page is not None and self.traits.longest > 0
            if not self.whole:
                await self._unpaged()
            return
        self.begun_at = self._end = at
        self._take(page, at)
        self._judge(page, FIRST)

    async def _first(self, at: int) -> list[Body] | None:
        """None where the request is not accepted: if it is not for its limit, the same without one tells."""
        try:
            return await self.ask({"limit": FIRST, "offset": at})
        except BadInput:
            return None

    async def _go_on(self) -> None:
        offset = self._end - 1
        page = await self._page(offset)
        fresh = [row for row in page if self.id_of(row) not in self._known]
        if len(page) == 1 and not fresh:
            self.whole = True
        elif not fresh or self.id_of(page[0]) not in self._known:
            await self._unpaged()
        else:
            self._take(page, offset)
            self._judge(page, self.traits.step)

    async def _page(self, offset: int) -> list[Body]:
        try:
            return await self.ask({"limit": self.traits.step, "offset": offset})
        except BadInput:
            self.traits.step = FIRST
            return await self.ask({"limit": FIRST, "offset": offset})

    async def _unpaged(self) -> None:
        """Everything, as the server gives it when nothing is said of pages."""
        known = len(self._known)
        self.rows, self._known, self.frontier = [], set(), None
        self.falling = self.rising = True
        self.begun_at = self._end = 0
        self._take(await self.ask({}), 0)
        self.whole, self.cut = True, len(self._known) < known

    def _judge(self, page: list[Body], asked: int) -> None:
        self.whole = len(page) > asked or len(page) < min(asked, self.traits.longest)
        if len(page) <= asked:
            self.traits.longest = max(self.traits.longest, len(page))

    def _take(self, page: list[Body], offset: int) -> None:
        for place, body in enumerate(page, offset):
            row = Row((start_of(body), self.id_of(body)), place, body)
            if row.key[1] in self._known:
                continue
            self._known.add(row.key[1])
            self.falling &= self.frontier is None or row.moment <= self.frontier
            self.rising &= self.frontier is None or row.moment >= self.frontier
            self.frontier = row.moment
            if self.keep(body, row.moment):
                self.rows.append(row)
        self._end = max(self._end, offset + len(page))


def start_of(body: Body) -> datetime:
    """When a row's run began, else when it ended; the earliest moment there is where it does not say."""
    try:
        told = body.get("start_time") or body.get("finish_time") or body.get("stop_time")
        if isinstance(told, int | float):
            return datetime.fromtimestamp(told, UTC)
        return utc(datetime.fromisoformat(str(told)))
    except (ValueError, OverflowError, OSError):
        return EARLIEST


class Position(NamedTuple):
    """A run's `position`: its start, its id, and where it stood in the server's list (0: nowhere to go on from)."""

    moment: datetime
    run_id: str
    offset: int = 0

    @classmethod
    def read(cls, text: str) -> Position | None:
        """None for no mark. Raises BadInput when it was written by another version."""
        if not text:
            return None
        try:
            moment, run_id, offset = text.split(" ")
            return cls(datetime.fromisoformat(moment), run_id, int(offset))
        except ValueError:
            raise BadInput("The cursor is not one this tool gave", "", "Leave it out to start again.") from None

    def __str__(self) -> str:
        return f"{self.moment.isoformat()} {self.run_id} {self.offset}"


@dataclass(frozen=True)
class Order:
    """The order that a query asks for, `limit` runs of it, after those up to `mark`."""

    query: RunQuery
    limit: int
    mark: Position | None = None

    def is_kept_by(self, listing: Listing) -> bool:
        """Whether the rows read so far came in this order."""
        return listing.rising if self.query.oldest_first else listing.falling

    def enough(self, listing: Listing) -> bool:
        """Whether no row that was not read yet can belong to the page, if the server keeps to its order.

        Rows of one moment may come in any order: the page is known only once a later moment has been read.
        """
        if listing.frontier is None or not self.is_kept_by(listing):
            return False
        if self._ended(listing.frontier):
            return True
        rest = [row for row in listing.rows if self.after_mark(row)]
        return len(rest) > self.limit and self._precedes(rest[self.limit - 1].moment, listing.frontier)

    def complete(self, listing: Listing) -> bool:
        """Whether all that match have been read, so that they can be counted."""
        told = listing.frontier is not None and self.is_kept_by(listing) and self._ended(listing.frontier)
        return listing.begun_at == 0 and (listing.whole or told)

    def after_mark(self, row: Row) -> bool:
        """Whether a row comes after the page before."""
        if self.mark is None:
            return True
        place = (self.mark.moment, self.mark.run_id)
        return row.key > place if self.query.oldest_first else row.key < place

    def before_mark(self, moment: datetime) -> bool:
        """Whether rows that begin with one of this moment hold all that come after the mark."""
        return self.mark is not None and self._precedes(moment, self.mark.moment)

    def sorted(self, rows: list[Row]) -> list[Row]:
        """In this order, whatever the server's was."""
        return sorted(rows, key=lambda row: row.key, reverse=not self.query.oldest_first)

    def _precedes(self, one: datetime, other: datetime) -> bool:
        return one < other if self.query.oldest_first else one > other

    def _ended(self, frontier: datetime) -> bool:
        """Whether the end of the query's span has been passed."""
        end = self.query.until if self.query.oldest_first else self.query.since
        return end is not None and (frontier >= end if self.query.oldest_first else frontier < end)
