"""CSV (RFC 4180): one header, then the records of every page."""

from __future__ import annotations

MOST_RECORD_BYTES = 4 * 2**20


class Table:
    """Puts CSV pages together; each begins with the same header."""

    def __init__(self) -> None:
        self.runs = 0
        self._header: bytes | None = None
        self._at_header = True
        self._record: list[bytes] = []
        self._size = 0
        self._quoted = False

    def feed(self, chunk: bytes) -> bytes:
        """Take in bytes; give back the records that are complete. A line break within quotation marks ends none."""
        written: list[bytes] = []
        for line in _lines(chunk):
            self._record.append(line)
            self._size += len(line)
            self._quoted ^= line.count(b'"') % 2 == 1
            if line.endswith(b"\n") and not self._quoted:
                written.append(self._take())
            elif self._size > MOST_RECORD_BYTES:
                raise ValueError("A record has no end")
        return b"".join(written)

    def end_page(self) -> bytes:
        """The last record may lack its line break, but not its closing quotation mark."""
        if self._quoted:
            raise ValueError("It breaks off within a record")
        if self._record:
            self._record.append(b"\r\n")
        last = self._take() if self._record else b""
        if self._at_header:
            raise ValueError("It has no header")
        self._at_header = True
        return last

    def end(self) -> bytes:
        """Nothing follows the last record."""
        return b""

    def _take(self) -> bytes:
        record = b"".join(self._record)
        self._record, self._size = [], 0
        if self._at_header:
            return self._take_header(record)
        blank = not record.strip()
        self.runs += not blank
        return b"" if blank else record

    def _take_header(self, record: bytes) -> bytes:
        self._at_header = False
        if self._header is None:
            self._header = record.strip()
            return record
        if record.strip() != self._header:
            raise ValueError("Its columns differ from page to page")
        return b""


def _lines(chunk: bytes) -> list[bytes]:
    *lines, rest = chunk.split(b"\n")
    return [*(line + b"\n" for line in lines), *([rest] if rest else [])]
