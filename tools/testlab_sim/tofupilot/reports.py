"""Reports other than OpenHTF's, of which serial number, verdict and start are read: WATS, ATML and TestStand, STDF and
ATDF."""

from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any, cast

from testlab_sim.production.history import History
from testlab_sim.tofupilot.intake import Draft, Unreadable, part_number_in
from testlab_sim.tofupilot.query import parse_instant
from testlab_sim.tofupilot.service import Refusal

_WATS_OUTCOMES = {"P": "PASS", "F": "FAIL", "E": "ERROR", "T": "ABORTED"}
_ATML_OUTCOMES = {"Passed": "PASS", "Done": "PASS", "Failed": "FAIL", "Aborted": "ABORTED", "Terminated": "ABORTED"}
_PRR = b"\x05\x14"
"""STDF's type and subtype of a part result."""


def _draft(history: History, procedure: str, serial: str, outcome: str, started: float, now: float) -> Draft:
    if not serial:
        raise Unreadable("no serial number")
    known = history.find_procedure(procedure) or history.procedure_named(procedure, "", now)
    return Draft(known, serial, outcome, started, started, part_number_in(serial) or "UNKNOWN")


def _moment(text: str, now: float) -> float:
    try:
        return parse_instant(text, "start") if text else now
    except Refusal:
        raise Unreadable(f"{text!r} is no date") from None


def _elements(data: bytes, name: str) -> Iterator[ET.Element]:
    """The elements of that name, whatever its namespace."""
    if b"<!ENTITY" in data:
        raise Unreadable("entity declarations are not accepted")
    try:
        root = ET.fromstring(data)
    except ET.ParseError as error:
        raise Unreadable(f"not XML: {error}") from None
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == name)


def read_wats(history: History, data: bytes, now: float) -> list[Draft]:
    """WATS: its JSON (WSJF) or XML (WSXF)."""
    report = _wats_fields(data)
    outcome = _WATS_OUTCOMES.get(str(report.get("result", ""))[:1].upper())
    if outcome is None:
        raise Unreadable("result missing or unknown")
    begun = _moment(str(report.get("start") or ""), now)
    name = str(report.get("processname") or report.get("processcode") or "WATS report")
    draft = _draft(history, name, str(report.get("sn") or ""), outcome, begun, now)
    draft.part_number = str(report.get("pn") or draft.part_number)
    draft.revision = str(report.get("rev") or "")
    return [draft]


def _wats_fields(data: bytes) -> dict[str, Any]:
    if data.lstrip()[:1] == b"<":
        found: Any = next((element.attrib for element in _elements(data, "Report")), None)
    else:
        try:
            found = json.loads(data)
        except ValueError:
            raise Unreadable("neither JSON nor XML") from None
    if not isinstance(found, dict):
        raise Unreadable("no report")
    return {key.lower(): value for key, value in cast("dict[str, Any]", found).items()}


def read_atml(history: History, data: bytes, now: float) -> list[Draft]:
    """ATML test results (IEEE 1636.1), which TestStand writes too."""
    results = next(_elements(data, "ResultSet"), None)
    if results is None:
        raise Unreadable("no ResultSet element")
    serial = next((e.text.strip() for e in _elements(data, "SerialNumber") if e.text and e.text.strip()), "")
    own = results.find("{*}Outcome")
    outcome = _ATML_OUTCOMES.get(own.get("value", "") if own is not None else "", "ERROR")
    name = (results.get("name") or "ATML report").rpartition("\\")[2].rpartition("#")[2]
    draft = _draft(history, name, serial, outcome, _moment(results.get("startDateTime", ""), now), now)
    draft.ended = _moment(results.get("endDateTime", ""), draft.started)
    return [draft]


def read_atdf(history: History, data: bytes, now: float) -> list[Draft]:
    """ATDF, STDF as text: a run for each part result."""
    lines = data.decode("latin-1").splitlines()
    if not lines or not lines[0].startswith("FAR:"):
        raise Unreadable("no FAR record at the beginning")
    results = [[*line[4:].split("|"), *[""] * 5] for line in lines if line.startswith("PRR:")]
    return _lot(history, "ATDF report", [(fields[2], fields[4] == "P") for fields in results], now)


def read_stdf(history: History, data: bytes, now: float) -> list[Draft]:
    """STDF V4: a run for each part result. In its record PART_FLG is at 2, PART_ID, a length and characters, at 17."""
    if len(data) < 6 or data[2:4] != b"\x00\x0a":
        raise Unreadable("no FAR record at the beginning")
    order = "<" if data[4] == 2 else ">"
    parts: list[tuple[str, bool]] = []
    place = 0
    while place + 4 <= len(data):
        (length,) = struct.unpack_from(f"{order}H", data, place)
        body = data[place + 4 : place + 4 + length]
        if data[place + 2 : place + 4] == _PRR:
            parts.append((body[18 : 18 + body[17]].decode("latin-1"), not body[2] & 0x08))
        place += 4 + length
    return _lot(history, "STDF report", parts, now)


def _lot(history: History, procedure: str, parts: list[tuple[str, bool]], now: float) -> list[Draft]:
    """A draft for each part, of its serial number and whether it passed."""
    if not parts:
        raise Unreadable("no part results")
    return [_draft(history, procedure, serial, "PASS" if ok else "FAIL", now, now) for serial, ok in parts]
