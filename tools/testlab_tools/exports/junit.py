"""JUnit XML: the `testsuite` elements of every page, below one `testsuites`."""

from __future__ import annotations

from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

_ROOT = "testsuites"


class Suites:
    """Puts JUnit documents together, element by element. Comments and processing instructions are left out."""

    def __init__(self) -> None:
        self.runs = 0
        self._out: list[str] = ['<?xml version="1.0" encoding="utf-8"?>\n', f"<{_ROOT}>\n"]
        self._parser = self._fresh()
        self._open: list[str] = []

    def feed(self, chunk: bytes) -> bytes:
        """Take in bytes; give back the elements that are complete."""
        return self._parse(chunk, False)

    def end_page(self) -> bytes:
        """The document must be whole."""
        written = self._parse(b"", True)
        self._parser = self._fresh()
        return written

    def end(self) -> bytes:
        """Close the root."""
        self._out.append(f"</{_ROOT}>\n")
        return self._written()

    def _fresh(self) -> expat.XMLParserType:
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
        return self._written()

    def _written(self) -> bytes:
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
            self._out.append(f"</{name}>" if self._within() else f"</{name}>\n")

    def _text(self, text: str) -> None:
        if self._within():
            self._out.append(escape(text))

    def _within(self) -> bool:
        """Whether a suite is open, and not only the root around them."""
        return bool(self._open) and self._open[-1] != _ROOT


def _refuse_doctype(*_: object) -> None:
    raise ValueError("It declares a document type, which JUnit XML has no need of")
