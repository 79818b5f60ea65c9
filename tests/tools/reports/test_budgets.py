"""A report given as text has at most a million characters: none of them makes the server large."""

from __future__ import annotations

import subprocess
import sys

import pytest

MAX_MIB = 150
N = 1_000_000
REPORTS = {
    "phases": b'{"dut_id":"a","phases":[' + b"{}," * ((N - 40) // 3) + b"{}]}",
    "lists": b'{"dut_id":"a","phases":[' + b"[]," * ((N - 40) // 3) + b"[]]}",
    "wrong phases": b'{"dut_id":"a","start_time_millis":1,"phases":[' + b"{}," * 120_000 + b"{}]}",
    "modules": b'{"dut":{},"modules":{' + b",".join(b'"%d":{}' % n for n in range(80_000)) + b"}}",
    "testlab": b'{"format":"testlab-run","version":1,"phases":[' + b"{}," * 120_000 + b"{}]}",
    "ctrf": b'{"results":{"tool":{},"summary":{},"tests":[' + b"{}," * 120_000 + b"{}]}}",
    "wats": b'{"sn":"a","pn":"b","result":"P","x":[' + b"{}," * ((N - 40) // 3) + b"{}]}",
    "cases": b'<testsuite timestamp="2026-11-20T08:00:00">' + b"<testcase/>" * (N // 12) + b"</testsuite>",
    "properties": b'<testsuite timestamp="2026-11-20T08:00:00"><properties>'
    + b"".join(b'<property name="p%d"/>' % n for n in range(15_000))
    + b"</properties>"
    + b"<testcase/>" * 15_000
    + b"</testsuite>",
    "nested": b'<testsuite timestamp="2026-11-20T08:00:00"><properties><property name="a" value="b"/></properties>'
    * 4_000
    + b"<testcase/>"
    + b"</testsuite>" * 4_000,
    "attributes": b"<testsuite " + b" ".join(b'a%d=""' % n for n in range(90_000)) + b"></testsuite>",
    "tags": b"<TestResults>" + b"<a/>" * (N // 4) + b"</TestResults>",
    "unclosed": b"<testsuite>" * (N // 11),
}
PROGRAM = """
import re, sys
from testlab_tools.errors import LabError
from testlab_tools.reports.ctrf import read_ctrf
from testlab_tools.reports.hardpy import read_hardpy
from testlab_tools.reports.formats import read_identity
from testlab_tools.reports.junit import read_junit
from testlab_tools.reports.openhtf import read_openhtf
from testlab_tools.reports.formats import detect_format
from testlab_tools.reports.testlab_run import read_testlab_run
def highest():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1]) // 1024
data = sys.stdin.buffer.read()
before = highest()
readers = (read_openhtf, read_hardpy, read_junit, read_testlab_run, read_ctrf)
for read in (detect_format, lambda d: read_identity("wats", d), *readers):
    try:
        read(data)
    except LabError:
        pass
print(highest() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a process's highest memory is read from /proc")
@pytest.mark.parametrize("name", REPORTS)
def test_no_report_of_a_million_characters_takes_more_memory_than_its_budget(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=REPORTS[name], capture_output=True, check=True, timeout=120
    )
    assert int(done.stdout) < MAX_MIB
