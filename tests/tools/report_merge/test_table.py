"""CSV pages become one table, wherever the bytes are cut."""

from __future__ import annotations

import csv
import io

import pytest

from testlab_tools.report_merge import MAX_RECORD_BYTES, CsvMerger

FIRST = b'id,reason\r\n1,plain\r\n2,"two\r\nlines, ""quoted"""\r\n'
SECOND = b"id,reason\r\n3,last without a line break"


def merged(pages: list[bytes], size: int) -> tuple[bytes, int]:
    table, written = CsvMerger(), b""
    for page in pages:
        for at in range(0, len(page), size):
            written += table.feed(page[at : at + size])
        written += table.end_page()
    return written + table.end(), table.runs


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pages_become_one_table_with_one_header(size: int) -> None:
    written, runs = merged([FIRST, SECOND], size)

    assert list(csv.reader(io.StringIO(written.decode(), newline=""))) == [
        ["id", "reason"],
        ["1", "plain"],
        ["2", 'two\r\nlines, "quoted"'],
        ["3", "last without a line break"],
    ]
    assert runs == 3


def test_a_table_of_no_runs_keeps_its_header() -> None:
    assert merged([b"id,reason\r\n"], 5) == (b"id,reason\r\n", 0)


def test_blank_lines_are_no_runs() -> None:
    assert merged([b"id\r\n\r\n1\r\n\r\n"], 3) == (b"id\r\n1\r\n", 1)


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([b""], "no header"),
        ([b'id\n"1'], "breaks off within a record"),
        ([b"id,a\n1,2\n", b"id,b\n1,2\n"], "columns differ"),
        ([b'id\n"' + b"x\n" * MAX_RECORD_BYTES], "no end"),
    ],
)
def test_what_is_no_such_table_is_refused(pages: list[bytes], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        merged(pages, 2**16)
