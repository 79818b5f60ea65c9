"""Whose run a report of a foreign format tells of, and when it began: only what it says once, and beyond doubt."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from testlab_tools.reports.formats import Format, Identity, read_identity

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
WSXF = '<Reports xmlns="http://wats.virinco.com/schemas/WATS/Report/wsxf">{}</Reports>'
ATML = (
    '<tr:TestResults xmlns:tr="urn:t"><tr:ResultSet startDateTime="{}"/><tr:UUT><c:SerialNumber xmlns:c="urn:c">'
    "{}</c:SerialNumber></tr:UUT></tr:TestResults>"
)


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("wats", '{"sn": "SN-1", "pn": "P", "result": "P", "start": "2026-03-01T10:00:00+01:00"}'),
        ("wsxf", WSXF.format('<Report SN="SN-1" start="2026-03-01T09:00:00Z"/>')),
        ("wats", WSXF.format('<Report SN="SN-1" start="2026-03-01T09:00:00Z"/>')),
        ("atml", ATML.format("2026-03-01T09:00:00Z", " SN-1 ")),
        ("teststand", ATML.format("2026-03-01T10:00:00.000+01:00", "SN-1")),
    ],
)
def test_unit_and_start_are_told(form: Format, content: str) -> None:
    assert read_identity(form, content.encode()) == Identity("SN-1", NINE)


@pytest.mark.parametrize(
    ("form", "content", "told"),
    [
        ("atml", ATML.format("2026-03-01T09:00:00", "SN-1"), Identity("SN-1")),
        ("atml", ATML.format("yesterday", "SN-1"), Identity("SN-1")),
        ("atml", ATML.format("2026-03-01T09:00:00Z", ""), Identity()),
        ("atml", ATML.format("2026-03-01T09:00:00Z", "SN-1")[:-9], Identity()),
        ("atml", '<!DOCTYPE t [<!ENTITY a "b">]>' + ATML.format("2026-03-01T09:00:00Z", "&a;"), Identity()),
        ("wsxf", WSXF.format('<Report SN="A" start="2026-03-01T09:00:00Z"/><Report SN="B"/>'), Identity()),
        ("wats", '{"sn": "SN-1"', Identity()),
        ("wats", "[]", Identity()),
        ("stdf", "\x02\x00\x00\x0a", Identity()),
        ("atdf", "FAR:A|4", Identity()),
    ],
)
def test_what_is_in_doubt_is_not_told(form: Format, content: str, told: Identity) -> None:
    assert read_identity(form, content.encode()) == told
