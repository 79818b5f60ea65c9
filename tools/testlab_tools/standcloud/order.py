"""The order of a list of runs: where a page begins, when enough has been read, and what of it is the page.

StandCloud documents no order and no filter by time. Where the rows come newest first (or oldest first, if that is asked
for), reading stops as soon as no later row can belong to the page; else all are read and put in order here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from testlab_tools.errors import BadInput
from testlab_tools.questions import RunQuery
from testlab_tools.standcloud.pages import Listing, Row


class Mark(NamedTuple):
    """A run's `position`: its start, its id, and where it stood in the server's list (0: nowhere to go on from)."""

    moment: datetime
    run_id: str
    offset: int = 0

    @classmethod
    def read(cls, text: str) -> Mark | None:
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
    mark: Mark | None = None

    def within(self, moment: datetime) -> bool:
        """Whether the query's span of time holds it."""
        since, until = self.query.since, self.query.until
        return (since is None or moment >= since) and (until is None or moment < until)

    def held(self, listing: Listing) -> bool:
        """Whether the rows read so far came in this order."""
        return listing.rising if self.query.oldest_first else listing.falling

    def enough(self, listing: Listing) -> bool:
        """Whether no row that was not read yet can belong to the page, if the server keeps to its order.

        Rows of one moment may come in any order: the page is known only once a later moment has been read.
        """
        if listing.frontier is None or not self.held(listing):
            return False
        if self._ended(listing.frontier):
            return True
        rest = [row for row in listing.rows if self.after_mark(row)]
        return len(rest) > self.limit and self._precedes(rest[self.limit - 1].moment, listing.frontier)

    def complete(self, listing: Listing) -> bool:
        """Whether all that match have been read, so that they can be counted."""
        told = listing.frontier is not None and self.held(listing) and self._ended(listing.frontier)
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
