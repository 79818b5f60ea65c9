"""Reports other than OpenHTF's, read as far as a run needs: WATS, ATML and TestStand, STDF and ATDF."""

from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from testlab_sim.production.history import History
from testlab_sim.production.records import Detail, Measurement, Phase
from testlab_sim.tofupilot.intake import Draft, Unreadable, limits_to_validators, part_number_in
from testlab_sim.tofupilot.query import parse_instant
from testlab_sim.tofupilot.service import Refusal

_WATS_OUTCOMES = {"P": "PASS", "F": "FAIL", "E": "ERROR", "T": "ABORTED"}
_ATML_OUTCOMES = {"Passed": "PASS", "Done": "PASS", "Failed": "FAIL", "Aborted": "ABORTED", "Terminated": "ABORTED"}


def _draft(history: History, procedure: str, serial: str, outcome: str, span: tuple[float, float], now: float) -> Draft:
    if not serial:
        raise Unreadable("no serial number")
    known = history.find_procedure(procedure) or history.procedure_named(procedure, "", now)
    return Draft(known, serial, outcome, *span, part_number_in(serial) or "UNKNOWN")


def _moment(text: str, now: float) -> float:
    try:
        return parse_instant(text, "start") if text else now
    except Refusal:
        raise Unreadable(f"{text!r} is no date") from None


def _xml(data: bytes) -> ET.Element:
    if b"<!ENTITY" in data:
        raise Unreadable("entity declarations are not accepted")
    try:
        return ET.fromstring(data)
    except ET.ParseError as error:
        raise Unreadable(f"not XML: {error}") from None


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _found(root: ET.Element, name: str) -> Iterator[ET.Element]:
    return (element for element in root.iter() if _local(element) == name)


def read_wats(history: History, data: bytes, now: float) -> list[Draft]:
    """WATS: its JSON (WSJF) or XML (WSXF), of which head and serial number are read."""
    if data.lstrip()[:1] == b"<":
        found = next(_found(_xml(data), "Report"), None)
        if found is None:
            raise Unreadable("no Report element")
        report: dict[str, Any] = {key.lower(): value for key, value in found.attrib.items()}
    else:
        report = _wats_json(data)
    outcome = _WATS_OUTCOMES.get(str(report.get("result", ""))[:1].upper())
    if outcome is None:
        raise Unreadable("result missing or unknown")
    begun = _moment(str(report.get("start") or ""), now)
    name = str(report.get("processname") or report.get("processcode") or "WATS report")
    draft = _draft(history, name, str(report.get("sn") or ""), outcome, (begun, begun), now)
    draft.part_number = str(report.get("pn") or draft.part_number)
    draft.revision = str(report.get("rev") or "")
    return [draft]


def _wats_json(data: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(data)
    except ValueError:
        raise Unreadable("neither JSON nor XML") from None
    if not isinstance(loaded, dict):
        raise Unreadable("expected a JSON object")
    return {key.lower(): value for key, value in cast("dict[str, Any]", loaded).items()}


def read_atml(history: History, data: bytes, now: float) -> list[Draft]:
    """ATML test results (IEEE 1636.1), which TestStand writes too: result set, serial number, tests."""
    root = _xml(data)
    results = next(_found(root, "ResultSet"), None)
    if results is None:
        raise Unreadable("no ResultSet element")
    serial = next((e.text or "" for e in _found(root, "SerialNumber") if (e.text or "").strip()), "").strip()
    begun = _moment(results.get("startDateTime", ""), now)
    ended = _moment(results.get("endDateTime", ""), begun)
    name = (results.get("name") or "ATML report").rpartition("\\")[2].rpartition("#")[2]
    draft = _draft(history, name, serial, _atml_outcome(results), (begun, ended), now)
    draft.detail = Detail([_atml_test(test, begun) for test in _found(results, "Test")])
    return [draft]


def _atml_outcome(element: ET.Element) -> str:
    """The element's own outcome: its child, not one of a nested test."""
    own = next((child for child in element if _local(child) in ("Outcome", "ActionOutcome")), None)
    return _ATML_OUTCOMES.get(own.get("value", "") if own is not None else "", "ERROR")


def _atml_test(test: ET.Element, at: float) -> Phase:
    outcome = _atml_outcome(test)
    outcome = outcome if outcome in ("PASS", "FAIL") else "ERROR"
    judged = outcome if outcome != "ERROR" else "UNSET"
    measurements: list[Measurement] = []
    for datum in _found(test, "Datum"):
        text = datum.get("value", "")
        value: Any = float(text) if text.replace(".", "", 1).lstrip("-").isdigit() else text
        measurements.append(Measurement(test.get("name", "value"), judged, value, datum.get("nonStandardUnit")))
        break
    return Phase(test.get("name") or test.get("ID") or "test", outcome, at, at, 0, measurements)


def read_atdf(history: History, data: bytes, now: float) -> list[Draft]:
    """ATDF, STDF as text: a run for each part result."""
    lines = data.decode("latin-1").splitlines()
    if not lines or not lines[0].startswith("FAR:"):
        raise Unreadable("no FAR record at the beginning")
    drafts: list[Draft] = []
    for line in lines:
        if line.startswith("PRR:"):
            fields = line[4:].split("|")
            serial = fields[2] if len(fields) > 2 else ""
            outcome = "PASS" if len(fields) > 4 and fields[4] == "P" else "FAIL"
            drafts.append(_draft(history, "ATDF report", serial, outcome, (now, now), now))
    if not drafts:
        raise Unreadable("no part results")
    return drafts


def read_stdf(history: History, data: bytes, now: float) -> list[Draft]:
    """STDF V4: a run for each PRR, with the numbers of its PTRs."""
    drafts: list[Draft] = []
    lot = _Lot(now)
    phases: list[Phase] = []
    for kind, order, body in _stdf_records(data):
        if kind == (1, 10):
            lot = _mir(order, body)
        elif kind == (15, 10):
            phases.append(_ptr(order, body, lot.started))
        elif kind == (5, 20):
            passed, serial, seconds = _prr(order, body)
            outcome, span = "PASS" if passed else "FAIL", (lot.started, lot.started + seconds)
            draft = _draft(history, lot.job or "STDF report", serial, outcome, span, now)
            draft.part_number = lot.part or draft.part_number
            draft.batch, draft.detail = lot.name, Detail(phases)
            drafts.append(draft)
            phases = []
    if not drafts:
        raise Unreadable("no part results")
    return drafts


@dataclass
class _Lot:
    """What the MIR says of all parts that follow."""

    started: float
    name: str = ""
    part: str = ""
    job: str = ""


def _stdf_records(data: bytes) -> Iterator[tuple[tuple[int, int], str, bytes]]:
    if len(data) < 6 or data[2:4] != b"\x00\x0a":
        raise Unreadable("no FAR record at the beginning")
    order = "<" if data[4] == 2 else ">"
    place = 0
    while place + 4 <= len(data):
        (length,) = struct.unpack_from(f"{order}H", data, place)
        yield (data[place + 2], data[place + 3]), order, data[place + 4 : place + 4 + length]
        place += 4 + length


def _text(body: bytes, place: int) -> tuple[str, int]:
    """A `C*n` field: a length byte and that many characters."""
    if place >= len(body):
        return "", place
    end = place + 1 + body[place]
    return body[place + 1 : end].decode("latin-1"), end


def _mir(order: str, body: bytes) -> _Lot:
    """MIR: START_T at 4; from 15 on LOT_ID, PART_TYP, NODE_NAM, TSTR_TYP, JOB_NAM."""
    (start,) = struct.unpack_from(f"{order}I", body, 4)
    texts: list[str] = []
    place = 15
    for _ in range(5):
        text, place = _text(body, place)
        texts.append(text.strip())
    return _Lot(float(start), texts[0], texts[1], texts[4])


def _ptr(order: str, body: bytes, at: float) -> Phase:
    """PTR: failed if bit 7 of TEST_FLG says so or its own limits do."""
    number, _, _, flags, _, value = struct.unpack_from(f"{order}IBBBBf", body, 0)
    name, place = _text(body, 12)
    _, place = _text(body, place)
    item = Measurement(name or f"test_{number}", "PASS", round(float(value), 6))
    if place + 12 <= len(body):
        low, high = struct.unpack_from(f"{order}ff", body, place + 4)
        # OPT_FLAG: bits 6 and 7 say there is no low or high limit, bits 4 and 5 that it is invalid.
        absent_low, absent_high = body[place] & 0x50, body[place] & 0xA0
        limits_to_validators(item, None if absent_low else round(low, 6), None if absent_high else round(high, 6))
        item.units = _text(body, place + 12)[0] or None
    if flags & 0x80 or any(v.outcome == "FAIL" for v in item.validators):
        item.outcome = "FAIL"
    return Phase(item.name, item.outcome, at, at, 0, [item])


def _prr(order: str, body: bytes) -> tuple[bool, str, float]:
    """Passed, part id and test time in seconds."""
    _, _, flags, _, _, _, _, _, millis = struct.unpack_from(f"{order}BBBHHHhhI", body, 0)
    serial, _ = _text(body, 17)
    return not flags & 0x08, serial, millis / 1000
