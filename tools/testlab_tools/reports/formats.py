"""Detects the format of a report from its content, and reads the unit and start of a report that services read
themselves.

WATS: `sn` and `start` of its JSON (WSJF), `SN` and `start` of the one Report of its XML (WSXF). ATML and TestStand's
ATML (IEEE 1636.1): the text of SerialNumber and the `startDateTime` of the one ResultSet. STDF and ATDF hold a lot.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple, cast
from xml.parsers import expat

from testlab_tools.bounded_json import MAX_ELEMENTS, TooManyElements, load_json
from testlab_tools.errors import BadInput, LabError
from testlab_tools.untrusted import sanitize

_STEP = 64 * 2**10


class XmlRoot(NamedTuple):
    """The root element: `name` without its prefix, and the namespaces it declares."""

    name: str
    namespaces: tuple[str, ...]


def read_root(content: bytes) -> XmlRoot:
    """The root element. Nothing after it is read.

    A document type can stand only before it, and entities (the bombs among them) only in a document type: so a document
    that gets past here declares none.

    Raises:
        BadInput: the content is not XML, or declares a document type.
    """
    found: list[XmlRoot] = []

    def on_start(name: str, attributes: dict[str, str]) -> None:
        if not found:
            spaces = tuple(value for key, value in attributes.items() if key.partition(":")[0] == "xmlns")
            found.append(XmlRoot(name.rpartition(":")[2], spaces))

    def refuse(*_: object) -> None:
        raise BadInput(
            "The XML report declares a document type",
            "Entities could hide in it, and no test framework writes one",
            "Take the <!DOCTYPE …> out of the file.",
        )

    parser = expat.ParserCreate()
    parser.StartElementHandler = on_start
    parser.StartDoctypeDeclHandler = refuse
    try:
        for place in range(0, len(content), _STEP):
            parser.Parse(content[place : place + _STEP], False)
            if found:
                return found[0]
    except (expat.ExpatError, ValueError):
        pass
    raise BadInput(
        "The report is not XML",
        f"It is {len(content)} bytes that break off or are no XML before the first element",
        "Give the file whole, as the test framework wrote it.",
    )


Format = Literal[
    "testlab", "openhtf", "hardpy", "junit", "ctrf", "allure", "wats", "wsxf", "atml", "teststand", "stdf", "atdf"
]
Given = Literal["auto", Format]
"""As a caller names it."""
IMPORTERS: dict[Format, str] = {
    "wats": "WATS",
    "wsxf": "WSXF",
    "atml": "ATML",
    "teststand": "TESTSTAND",
    "stdf": "STDF",
    "atdf": "ATDF",
}
"""Formats that a service reads by itself, with its importer's name ("Import structured", TofuPilot API v2)."""

_GZIP = b"\x1f\x8b"
_FAR = (b"\x02\x00\x00\x0a", b"\x00\x02\x00\x0a")
"""STDF V4 begins with a File Attributes Record: length 2 in either byte order, type 0, subtype 10."""
_MARKS = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
"""What may stand before the first character: byte order marks, UTF-16's zeros, white space."""


def detect_format(content: bytes) -> Format:
    """The format of a report.

    Raises:
        BadInput: the format is unknown, the report is damaged, or it is XML with a document type. The error quotes
            nothing of it.
    """
    if content.startswith(_GZIP):
        raise BadInput("The report is compressed (gzip)", "", "Give it unpacked.")
    if content[:4] in _FAR:
        return "stdf"
    match content[:256].lstrip(_MARKS)[:1]:
        case b"{":
            return _detect_json(content)
        case b"<":
            return _detect_xml(read_root(content))
        case _ if content.startswith(b"FAR:"):
            return "atdf"
        case _:
            raise _unknown("It is neither JSON nor XML nor STDF")


def _detect_json(content: bytes) -> Format:
    try:
        value: object = load_json(content)
    except TooManyElements:
        raise _unknown(f"It is JSON of more than {MAX_ELEMENTS} values") from None
    except (ValueError, RecursionError):
        raise _unknown(f"Its {len(content)} bytes begin like JSON, and are damaged or break off") from None
    members = cast(dict[str, Any], value)
    if members.get("format") == "testlab-run":
        return "testlab"
    if members.get("reportFormat") == "CTRF" or _has_ctrf_results(members.get("results")):
        return "ctrf"
    if {"uuid", "name", "start"} <= members.keys() or {"uuid", "children"} <= members.keys():
        raise BadInput("The report is one file of Allure results", "A run is the whole folder", "Give the folder.")
    keys = {key.casefold() for key in members}
    if {"dut_id", "phases"} <= keys:
        return "openhtf"
    if {"dut", "modules"} <= keys:
        return "hardpy"
    if {"sn", "pn", "result"} <= keys:
        return "wats"
    raise _unknown("It is JSON with the keys of none of them")


def _has_ctrf_results(results: object) -> bool:
    """CTRF before its version 1 had no name of the format in it."""
    return isinstance(results, dict) and {"tool", "summary", "tests"} <= cast(dict[str, Any], results).keys()


def _detect_xml(root: XmlRoot) -> Format:
    """WATS and TestStand both have `Reports` as root; TestStand's ATML declares a namespace of its own besides."""
    spaces = " ".join(root.namespaces).casefold()
    match root.name:
        case "testsuites" | "testsuite":
            return "junit"
        case "Reports" | "Report":
            return "wsxf" if "wats" in spaces else "teststand"
        case "TestResults" | "TestResultsCollection":
            return "teststand" if "teststand" in spaces else "atml"
        case _:
            raise _unknown("It is XML whose first element is that of none of them")


def _unknown(why: str) -> BadInput:
    return BadInput(
        "The format of the report is not known",
        why,
        "Known are testlab-run, OpenHTF, HardPy, JUnit, CTRF, Allure, WATS, ATML, TestStand, STDF, ATDF.",
    )


_MAX_CHARS = 200


class Identity(NamedTuple):
    """Of the only run in a report; a field that the report lacks, or has twice, is empty. `started_at` has a zone."""

    serial_number: str = ""
    started_at: datetime | None = None


def read_identity(form: Format, data: bytes) -> Identity:
    """The identity as far as the report has it; empty for a damaged report, which the service refuses."""
    try:
        match form:
            case "wats" if data.lstrip()[:1] == b"{":
                return _read_wats_json(data)
            case "wats" | "wsxf":
                return _read_xml_identity(data, "Report", "start", "SN")
            case "atml" | "teststand":
                return _read_xml_identity(data, "ResultSet", "startDateTime", "")
            case _:
                return Identity()
    except (LabError, ValueError, RecursionError, expat.ExpatError):
        return Identity()


def _read_wats_json(data: bytes) -> Identity:
    found: object = load_json(data)
    if not isinstance(found, dict):
        return Identity()
    report = {key.casefold(): value for key, value in cast(dict[str, Any], found).items()}
    return _make_identity([str(report.get("sn") or "")], [str(report.get("start") or "")])


def _read_xml_identity(data: bytes, element: str, started: str, serial: str) -> Identity:
    """`serial` is the element's attribute with the serial number; if empty, that is the text of SerialNumber."""
    read_root(data)  # refuses what declares a document type
    serials: list[str] = []
    starts: list[str] = []
    text: list[str] | None = None

    def on_start(name: str, attributes: dict[str, str]) -> None:
        nonlocal text
        local = name.rpartition(":")[2]
        if local == element:
            starts.append(attributes.get(started, ""))
            serials.extend([attributes.get(serial, "")] if serial else [])
        elif local == "SerialNumber" and not serial:
            text = []

    def on_end(name: str) -> None:
        nonlocal text
        if text is not None and name.rpartition(":")[2] == "SerialNumber":
            serials.append("".join(text))
            text = None

    def on_text(more: str) -> None:
        if text is not None:
            text.append(more)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = on_start, on_end, on_text
    parser.Parse(data, True)
    return _make_identity(serials, starts)


def _make_identity(serials: list[str], starts: list[str]) -> Identity:
    units = {sanitize(serial).strip() for serial in serials} - {""}
    if len(units) != 1 or len(starts) != 1:
        return Identity()
    unit = units.pop()
    return Identity(unit if len(unit) <= _MAX_CHARS else "", _parse_moment(starts[0]))


def _parse_moment(text: str) -> datetime | None:
    """None for a moment without a zone, which is ambiguous."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else None
