"""Reports of many runs, put together from the pages a service cuts them into, as they come."""

from __future__ import annotations

from typing import Literal, Protocol

from testlab_tools.exports.junit import Suites
from testlab_tools.exports.table import Table


class Merger(Protocol):
    """Makes one document of several, in constant memory. `runs` counts what has been taken in.

    Raises:
        ValueError: what comes is not of the format, breaks off, or differs from page to page; said in our own words.
    """

    runs: int

    def feed(self, chunk: bytes) -> bytes:
        """More of a page; returns what can be written."""
        ...

    def end_page(self) -> bytes:
        """The page has ended."""
        ...

    def end(self) -> bytes:
        """All pages have ended."""
        ...


def merger(form: Literal["csv", "junit"]) -> Merger:
    """A merger for a format."""
    return Table() if form == "csv" else Suites()
