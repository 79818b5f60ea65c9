"""Which test framework wrote a report, told from what stands in it."""

from __future__ import annotations

import json
from typing import Any, Literal, cast

from testlab_tools.errors import BadInput
from testlab_tools.reports.xml_root import XmlRoot, xml_root

Format = Literal["openhtf", "hardpy", "junit", "wats", "wsxf", "atml", "teststand", "stdf", "atdf"]
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


def recognised(content: bytes) -> Format:
    """The format of a report.

    Raises:
        BadInput: it is none of those, it is damaged, or it is XML with a document type. Nothing in it is repeated.
    """
    if content.startswith(_GZIP):
        raise BadInput("The report is compressed (gzip)", "", "Give it unpacked.")
    if content[:4] in _FAR:
        return "stdf"
    match content[:256].lstrip(_MARKS)[:1]:
        case b"{":
            return _json(content)
        case b"<":
            return _xml(xml_root(content))
        case _ if content.startswith(b"FAR:"):
            return "atdf"
        case _:
            raise _unknown("It is neither JSON nor XML nor STDF")


def _json(content: bytes) -> Format:
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        raise _unknown(f"Its {len(content)} bytes begin like JSON, and are damaged or break off") from None
    keys = {key.casefold() for key in cast(dict[str, Any], value)}
    if {"dut_id", "phases"} <= keys:
        return "openhtf"
    if {"dut", "modules"} <= keys:
        return "hardpy"
    if {"sn", "pn", "result"} <= keys:
        return "wats"
    raise _unknown("It is JSON with the keys of none of them")


def _xml(root: XmlRoot) -> Format:
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
        "Known are OpenHTF and HardPy JSON, JUnit XML, WATS, ATML, TestStand, STDF, ATDF; give format if it is one.",
    )
