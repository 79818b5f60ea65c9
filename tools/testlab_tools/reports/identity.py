"""Whose run a report tells of and when it began, as far as that can be told of a format that services read themselves.

WATS: `sn` and `start` of its JSON (WSJF), `SN` and `start` of the one Report of its XML (WSXF). ATML and TestStand's
ATML (IEEE 1636.1): the text of SerialNumber and the `startDateTime` of the one ResultSet. STDF and ATDF hold a lot.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple, cast
from xml.parsers import expat

from testlab_tools.errors import LabError
from testlab_tools.reports.recognition import Format
from testlab_tools.reports.xml_root import xml_root
from testlab_tools.untrusted import plain

_MOST_CHARS = 200


class Identity(NamedTuple):
    """Of the only run in a report; what is not told, or told more than once, is empty. `started_at` has a zone."""

    serial_number: str = ""
    started_at: datetime | None = None


def identity_of(form: Format, data: bytes) -> Identity:
    """As much as is told; nothing of a report that is damaged, which is for the service to say."""
    try:
        match form:
            case "wats" if data.lstrip()[:1] == b"{":
                return _wats_json(data)
            case "wats" | "wsxf":
                return _xml(data, "Report", "start", "SN")
            case "atml" | "teststand":
                return _xml(data, "ResultSet", "startDateTime", "")
            case _:
                return Identity()
    except (LabError, ValueError, RecursionError, expat.ExpatError):
        return Identity()


def _wats_json(data: bytes) -> Identity:
    found: object = json.loads(data)
    if not isinstance(found, dict):
        return Identity()
    report = {key.casefold(): value for key, value in cast(dict[str, Any], found).items()}
    return _identity([str(report.get("sn") or "")], [str(report.get("start") or "")])


def _xml(data: bytes, element: str, started: str, serial: str) -> Identity:
    """`serial` is the attribute of the element that holds it; where there is none, SerialNumber's text does."""
    xml_root(data)  # refuses what declares a document type
    serials: list[str] = []
    starts: list[str] = []
    text: list[str] | None = None

    def begun(name: str, attributes: dict[str, str]) -> None:
        nonlocal text
        local = name.rpartition(":")[2]
        if local == element:
            starts.append(attributes.get(started, ""))
            serials.extend([attributes.get(serial, "")] if serial else [])
        elif local == "SerialNumber" and not serial:
            text = []

    def ended(name: str) -> None:
        nonlocal text
        if text is not None and name.rpartition(":")[2] == "SerialNumber":
            serials.append("".join(text))
            text = None

    def told(more: str) -> None:
        if text is not None:
            text.append(more)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begun, ended, told
    parser.Parse(data, True)
    return _identity(serials, starts)


def _identity(serials: list[str], starts: list[str]) -> Identity:
    units = {plain(serial).strip() for serial in serials} - {""}
    if len(units) != 1 or len(starts) != 1:
        return Identity()
    unit = units.pop()
    return Identity(unit if len(unit) <= _MOST_CHARS else "", _moment(starts[0]))


def _moment(text: str) -> datetime | None:
    """A moment without a zone is another one elsewhere."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else None
