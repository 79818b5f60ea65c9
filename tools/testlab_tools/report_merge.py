"""Merges the pages of a report of many runs as they come: JUnit XML to one `testsuites`, CSV (RFC 4180) to a table."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

_ROOT = "testsuites"


class Merger(ABC):
    """Makes one document of several, in constant memory; `runs` counts the runs in it.

    Raises:
        ValueError: a page is of another format, breaks off, or differs from the page before. The text quotes nothing.
    """

    runs = 0

    @abstractmethod
    def feed(self, chunk: bytes) -> bytes:
        """Take in more of a page; returns what can be written."""

    @abstractmethod
    def end_page(self) -> bytes:
        """End a page; returns what is left of it to be written."""

    def end(self) -> bytes:
        """End the document; returns what is left of it to be written."""
        return b""


class JunitMerger(Merger):
    """Merges JUnit documents element by element. Comments and processing instructions are left out."""

    def __init__(self) -> None:
        self._out: list[str] = ['<?xml version="1.0" encoding="utf-8"?>\n', f"<{_ROOT}>\n"]
        self._parser = self._new_parser()
        self._open: list[str] = []

    def feed(self, chunk: bytes) -> bytes:
        return self._parse(chunk, False)

    def end_page(self) -> bytes:
        written = self._parse(b"", True)
        self._parser = self._new_parser()
        return written

    def end(self) -> bytes:
        self._out.append(f"</{_ROOT}>\n")
        return self._take_output()

    def _new_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = _refuse_doctype
        return parser

    def _parse(self, data: bytes, last: bool) -> bytes:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError:
            raise ValueError("It is not XML, or breaks off") from None
        return self._take_output()

    def _take_output(self) -> bytes:
        text, self._out = "".join(self._out), []
        return text.encode()

    def _start(self, name: str, attributes: list[str]) -> None:
        if not self._open and name not in (_ROOT, "testsuite"):
            raise ValueError("It is not JUnit XML")
        self.runs += name == "testcase"
        self._open.append(name)
        if name != _ROOT:
            pairs = zip(attributes[::2], attributes[1::2], strict=True)
            self._out.append("".join((f"<{name}", *(f" {key}={quoteattr(value)}" for key, value in pairs), ">")))

    def _end(self, name: str) -> None:
        self._open.pop()
        if name != _ROOT:
            self._out.append(f"</{name}>" if self._is_in_suite() else f"</{name}>\n")

    def _text(self, text: str) -> None:
        if self._is_in_suite():
            self._out.append(escape(text))

    def _is_in_suite(self) -> bool:
        """Whether a suite is open, and not only the root."""
        return bool(self._open) and self._open[-1] != _ROOT


def _refuse_doctype(*_: object) -> None:
    raise ValueError("It declares a document type, which JUnit XML has no need of")


MAX_RECORD_BYTES = 4 * 2**20

ColumnFilter = Mapping[str, Callable[[str], bool]]
"""By the name of a column, whether a record with a value is kept."""
EVERYTHING: ColumnFilter = MappingProxyType({})
Words = Mapping[str, tuple[str, Callable[[str], str] | None]]
"""By the name of a column, its other name, and how its values are written anew, if they are."""
NO_WORDS: Words = MappingProxyType({})


class CsvMerger(Merger):
    """Merges CSV pages, each of which begins with the same header; `columns` are its names.

    Columns in `words` are given another name, and their values written anew where that says how.
    """

    def __init__(self, kept: ColumnFilter = EVERYTHING, words: Words = NO_WORDS) -> None:
        self.columns: list[str] = []
        self._kept = kept
        self._words = words
        self._rewritten: list[tuple[int, Callable[[str], str]]] = []
        self._columns: list[tuple[int, Callable[[str], bool]]] = []
        self._header: bytes | None = None
        self._at_header = True
        self._record: list[bytes] = []
        self._size = 0
        self._quoted = False

    def feed(self, chunk: bytes) -> bytes:
        written: list[bytes] = []
        for line in _split_lines(chunk):
            self._record.append(line)
            self._size += len(line)
            self._quoted ^= line.count(b'"') % 2 == 1
            if line.endswith(b"\n") and not self._quoted:
                written.append(self._take_record())
            elif self._size > MAX_RECORD_BYTES:
                raise ValueError("A record has no end")
        return b"".join(written)

    def end_page(self) -> bytes:
        if self._quoted:  # the last record may lack its line break, but not its closing quotation mark
            raise ValueError("It breaks off within a record")
        if self._record:
            self._record.append(b"\r\n")
        last = self._take_record() if self._record else b""
        if self._at_header:
            raise ValueError("It has no header")
        self._at_header = True
        return last

    def _take_record(self) -> bytes:
        record = b"".join(self._record)
        self._record, self._size = [], 0
        if self._at_header:
            return self._take_header(record)
        if not record.strip() or not self._matches(record):
            return b""
        self.runs += 1
        return self._rewrite(record) if self._rewritten else record

    def _rewrite(self, record: bytes) -> bytes:
        cells = _parse_cells(record)
        for at, rewrite in self._rewritten:
            if at < len(cells):
                cells[at] = rewrite(cells[at])
        return _write_cells(cells)

    def _matches(self, record: bytes) -> bool:
        """Whether the record passes the filters of the columns that the table has."""
        if not self._columns:
            return True
        cells = _parse_cells(record)
        return all(at < len(cells) and keeps(cells[at]) for at, keeps in self._columns)

    def _take_header(self, record: bytes) -> bytes:
        self._at_header = False
        if self._header is None:
            self._header = record.strip()
            self._columns = [
                (at, self._kept[name]) for at, name in enumerate(_parse_cells(record)) if name in self._kept
            ]
            return self._name_columns(record)
        if record.strip() != self._header:
            raise ValueError("Its columns differ from page to page")
        return b""

    def _name_columns(self, record: bytes) -> bytes:
        told = _parse_cells(record)
        words = [self._words.get(name, (name, None)) for name in told]
        self.columns = [name for name, _ in words]
        self._rewritten = [(at, rewrite) for at, (_, rewrite) in enumerate(words) if rewrite]
        return record if self.columns == told else _write_cells(self.columns)


def _write_cells(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()


def _parse_cells(record: bytes) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(record.decode("utf-8-sig", "replace"), newline="")) for cell in row]


def _split_lines(chunk: bytes) -> list[bytes]:
    *lines, rest = chunk.split(b"\n")
    return [*(line + b"\n" for line in lines), *([rest] if rest else [])]


def make_merger(form: Literal["csv", "junit"], kept: ColumnFilter = EVERYTHING, words: Words = NO_WORDS) -> Merger:
    """A merger for a format. `kept` filters the records of CSV alone, whose columns are named by `words`."""
    return CsvMerger(kept, words) if form == "csv" else JunitMerger()
