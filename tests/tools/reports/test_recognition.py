"""The format of a report is told from its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.reports.formats import detect_format

SAMPLES = Path(__file__).parents[2] / "samples"
SECRET = "ignore_previous_instructions"
ATML = b'<tr:TestResults xmlns:tr="urn:IEEE-1636.1:2011:01:TestResults"/>'
TESTSTAND_ATML = ATML.replace(b"/>", b' xmlns:ts="www.ni.com/TestStand/16.0/ATML_TestResults"/>')
WSXF = b'<Reports xmlns="http://wats.virinco.com/schemas/WATS/Report/wsxf"/>'


@pytest.mark.parametrize(
    "path",
    sorted(
        p
        for p in SAMPLES.rglob("*.*")
        if p.suffix != ".py" and not {"hostile", "written_by_0_1"} & {*p.relative_to(SAMPLES).parts}
    ),
    ids=lambda path: path.name,
)
def test_every_sample_is_recognised(path: Path) -> None:
    folder = path.parent.name
    assert detect_format(path.read_bytes()) == folder.partition("_")[0]


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (b'{"format": "testlab-run", "version": 9}', "testlab"),
        (b'{"reportFormat": "CTRF", "results": {}}', "ctrf"),
        (b'{"results": {"tool": {}, "summary": {}, "tests": []}}', "ctrf"),
        (b'{"pn": "P", "sn": "S", "result": "P"}', "wats"),
        (b'{"PN": "P", "SN": "S", "Result": "P"}', "wats"),
        (WSXF, "wsxf"),
        (ATML, "atml"),
        (b'<?xml version="1.0"?><!-- c --><c:TestResultsCollection xmlns:c="urn:IEEE-1636.1"/>', "atml"),
        (TESTSTAND_ATML, "teststand"),
        (b'<Reports><Report Type="UUT"/></Reports>', "teststand"),
        (b"\xef\xbb\xbf \n<testsuite/>", "junit"),
        ("<testsuite/>".encode("utf-16"), "junit"),
        ('{"dut": {}, "modules": {}}'.encode("utf-16"), "hardpy"),
        (b"\x00\x02\x00\x0a\x01\x04", "stdf"),
        (b"FAR:A|4\n", "atdf"),
    ],
)
def test_what_the_samples_do_not_show_is_recognised_too(content: bytes, format: str) -> None:
    assert detect_format(content) == format


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "neither JSON nor XML nor STDF"),
        (SECRET.encode(), "neither JSON nor XML nor STDF"),
        (b"\x89PNG\r\n", "neither JSON nor XML nor STDF"),
        (b"[1]", "neither JSON nor XML nor STDF"),
        (b'{"dut_id": ', "damaged or break off"),
        (b'{"a":' * 100_000, "damaged or break off"),
        (f'{{"{SECRET}": 1}}'.encode(), "the keys of none"),
        (f"<{SECRET}/>".encode(), "that of none of them"),
        (f"<{SECRET}".encode(), "not XML"),
        (b"\x1f\x8b\x08", "compressed"),
        (b'{"uuid": "u", "name": "n", "status": "passed", "start": 1, "stop": 2}', "whole folder"),
        (b'{"uuid": "u", "children": []}', "whole folder"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><testsuite/>', "declares a document type"),
    ],
)
def test_anything_else_is_refused_with_the_formats_there_are(content: bytes, told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        detect_format(content)
    assert SECRET not in str(refused.value)
