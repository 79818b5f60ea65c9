"""JUnit documents become one, element by element, wherever the bytes are cut."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import pytest

from testlab_tools.report_merge import JunitMerger

BARE = """<?xml version='1.0' encoding='utf-8'?>
<!-- made by the portal -->
<testsuite name="a" tests="2"><testcase classname="tests/a.py" name="one" time="1.5"/>
<testcase classname="tests/a.py" name="zwei &lt;&quot;ü&quot;&gt;"><failure type="failure" message="a&#10;b"><![CDATA[
1 < 2 & "c"]]></failure></testcase></testsuite>
""".encode()
WRAPPED = b"<testsuites tests='1'><testsuite name='b'><testcase name='three'/></testsuite></testsuites>"


def merged(pages: list[bytes], size: int = 1000) -> tuple[bytes, int]:
    suites, written = JunitMerger(), b""
    for page in pages:
        for at in range(0, len(page), size):
            written += suites.feed(page[at : at + size])
        written += suites.end_page()
    return written + suites.end(), suites.runs


def seen(element: Xml.Element) -> tuple[object, ...]:
    return (element.tag, element.attrib, (element.text or "").strip(), [seen(child) for child in element])


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_documents_become_one_with_all_they_hold(size: int) -> None:
    written, runs = merged([BARE, WRAPPED], size)
    root = Xml.fromstring(written)

    assert root.tag == "testsuites"
    assert [seen(suite) for suite in root] == [seen(Xml.fromstring(BARE)), seen(Xml.fromstring(WRAPPED)[0])]
    assert runs == 3


def test_a_document_of_no_runs_is_one() -> None:
    written, runs = merged([b"<testsuite tests='0'/>"])

    assert [suite.attrib for suite in Xml.fromstring(written)] == [{"tests": "0"}]
    assert runs == 0


def test_what_is_written_can_be_merged_again() -> None:
    once, _ = merged([BARE, WRAPPED])

    assert merged([once])[0] == once


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (BARE[:-20], "breaks off"),
        (b"", "breaks off"),
        (b"<html><body/></html>", "not JUnit"),
        (b"a,b\n1,2\n", "not XML"),
        (b"<testsuite/><testsuite/>", "not XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><testsuite>&b;</testsuite>', "document type"),
    ],
)
def test_what_is_no_such_document_is_refused(page: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        merged([page])
