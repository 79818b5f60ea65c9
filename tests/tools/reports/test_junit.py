"""JUnit XML, read as a run. The sample is as the vendor's documentation shows Stb-tester's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.reports import junit
from testlab_tools.reports.report import Report

SAMPLE = Path(__file__).parents[2] / "samples" / "junit" / "stbt_results_like.xml"
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
SECRET = "ignore_previous_instructions"


def read_junit(content: bytes, started_at: datetime | None = None) -> Report:
    (report,) = junit.read_junit(content, started_at)
    return report


def suite(cases: str = '<testcase name="a" time="1"/>', attributes: str = 'timestamp="2026-11-20T08:00:00"') -> bytes:
    return f"<testsuite {attributes}>{cases}</testsuite>".encode()


def phases(content: bytes) -> list[tuple[str, str]]:
    return [(phase.name, phase.outcome) for phase in read_junit(content).run.phases]


def test_a_report_is_read_whole() -> None:
    report = read_junit(SAMPLE.read_bytes())

    assert [(p.name, p.outcome, p.ended_at - p.started_at) for p in report.run.phases] == [
        ("tests/menu.py::test_that_menu_appears", "pass", timedelta(seconds=3.270815)),
        ("tests/epg.py::test_that_epg_is_populated", "fail", timedelta(seconds=6.970535)),
        ("tests/dvr.py::test_that_dvr_records", "error", timedelta(seconds=61)),
    ]
    assert (report.run.outcome, report.run.started_at) == ("fail", START)
    assert report.run.ended_at - START == timedelta(seconds=71.24135)
    assert report.run.notes == (
        "tests/epg.py::test_that_epg_is_populated: EPG is empty\n"
        "tests/dvr.py::test_that_dvr_records: stbt.NoVideo: No video"
    )
    assert report.missing == ["serial_number", "procedure_id"]
    assert [bool(p.traceback) for p in report.run.phases] == [False, True, True]
    assert report.run.phases[1].reason == "EPG is empty"
    assert report.dropped == ("1 captured output",)


def test_a_suite_by_itself_and_one_that_is_wrapped_are_the_same_run() -> None:
    alone, wrapped = read_junit(suite()).run, read_junit(b"<testsuites>" + suite() + b"</testsuites>").run

    assert (alone.phases, alone.outcome, alone.started_at) == (wrapped.phases, wrapped.outcome, wrapped.started_at)


def test_suites_begin_when_they_say_and_else_follow_one_another() -> None:
    later = suite(attributes='timestamp="2026-11-20T10:00:00+01:00"')
    run = read_junit(b"<testsuites>" + suite() + suite(attributes="") + later + b"</testsuites>").run

    assert [phase.started_at - START for phase in run.phases] == [timedelta(seconds=s) for s in (0, 1, 3600)]


def test_suites_within_suites_count() -> None:
    assert phases(suite('<testcase name="a"/><testsuite><testcase name="b"/></testsuite>')) == [
        ("a", "pass"),
        ("b", "pass"),
    ]


def test_test_cases_of_one_name_are_no_attempts_and_stay_apart() -> None:
    failed = '<testcase name="a"><failure/></testcase><testcase name="a"/>'

    assert phases(suite(failed)) == [("a", "fail"), ("a (2)", "pass")]
    assert read_junit(suite(failed)).run.outcome == "fail"


def test_surefires_attempts_are_attempts() -> None:
    flaky = '<testcase name="a"><flakyFailure message="m"/><flakyError message="m"/></testcase>'
    rerun = '<testcase name="b"><failure/><rerunFailure message="m"/><rerunError message="m"/></testcase>'

    assert phases(suite(flaky)) == [("a", "fail"), ("a", "error"), ("a", "pass")]
    assert read_junit(suite(flaky)).run.outcome == "pass"
    assert phases(suite(rerun)) == [("b", "fail"), ("b", "fail"), ("b", "error")]


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (suite('<testcase name="a"/><testcase name="b"><skipped/></testcase>'), "pass"),
        (suite('<testcase name="a"><error/></testcase>'), "error"),
        (suite('<testcase name="a"><error/></testcase><testcase name="b"><failure/></testcase>'), "fail"),
        (suite('<testcase name="a"/>', 'timestamp="2026-11-20T08:00:00" errors="1"'), "error"),
        (suite('<testcase name="a"/>', 'timestamp="2026-11-20T08:00:00" failures="1"'), "fail"),
    ],
)
def test_the_outcome_is_the_worst_there_is(content: bytes, outcome: str) -> None:
    assert read_junit(content).run.outcome == outcome


def test_a_start_given_goes_before_what_the_report_says() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    assert read_junit(suite(), moment).run.started_at == moment
    assert read_junit(suite(attributes=""), moment).run.started_at == moment


def test_a_report_without_a_time_asks_for_it() -> None:
    with pytest.raises(BadInput, match=r"does not say when it ran\. Give started_at"):
        read_junit(suite(attributes=""))


def test_the_same_bytes_have_the_same_ref_and_another_unit_has_another() -> None:
    first, again = read_junit(suite()), read_junit(suite())

    assert first.run.ref == again.run.ref != read_junit(SAMPLE.read_bytes()).run.ref
    assert first.override("SN-1", "FVT1").run.ref == again.override("sn-1", "FVT1", "P").run.ref
    assert len({first.run.ref, first.override("SN-1", "FVT1").run.ref, first.override("SN-2", "FVT1").run.ref}) == 3


def properties(**given: str) -> str:
    found = "".join(f'<property name="{name}" value="{value}"/>' for name, value in given.items())
    return f"<properties>{found}</properties>"


def test_properties_say_unit_procedure_and_station_and_others_become_variables() -> None:
    said = properties(Serial_Number="SN-1", procedure="FVT1", STATION="bench-3", firmware="2.1")
    report = read_junit(suite(f'{said}<testcase name="a"/>'))

    assert (report.run.serial_number, report.run.procedure_id, report.missing) == ("SN-1", "FVT1", [])
    assert report.station == "bench-3"
    assert report.variables == (("firmware", "2.1"), ("station", "bench-3"))


def test_surefires_dump_of_javas_properties_says_nothing_of_the_run() -> None:
    dump = properties(**{"java.vm.name": "OpenJDK", "sn": "1", "user.dir": "/home/mk"})
    assert read_junit(suite(f'{dump}<testcase name="a"/>')).run.variables == ()


def test_several_suites_are_one_run_unless_they_name_several_units() -> None:
    def of(serial: str, inner: str) -> bytes:
        return suite(f"{properties(serial_number=serial) if serial else ''}{inner}")

    passed, failed = '<testcase name="a"/>', '<testcase name="a"><failure message="off"/></testcase>'
    one = read_junit(b"<testsuites>" + of("SN-1", passed) + of("", failed) + b"</testsuites>").run
    two = junit.read_junit(b"<testsuites>" + of("SN-1", passed) + of("SN-2", failed) + b"</testsuites>")

    assert (one.serial_number, one.outcome, len(one.phases)) == ("SN-1", "fail", 2)
    assert [(r.run.serial_number, r.run.outcome, r.run.notes) for r in two] == [
        ("SN-1", "pass", ""),
        ("SN-2", "fail", "a: off"),
    ]
    assert two[0].run.ref != two[1].run.ref


def test_test_cases_may_name_the_units_and_one_without_is_of_none_of_several() -> None:
    def case(name: str, serial: str) -> str:
        return f'<testcase name="{name}">{properties(serial_number=serial) if serial else ""}</testcase>'

    found = junit.read_junit(suite(case("a", "SN-1") + case("a", "SN-2") + case("b", "SN-1") + case("c", "")))
    assert [(r.run.serial_number, [p.name for p in r.run.phases]) for r in found] == [
        ("SN-1", ["a", "b"]),
        ("SN-2", ["a"]),
        ("", ["c"]),
    ]


def test_a_unit_that_is_named_twice_differently_is_not_known() -> None:
    said = properties(serial_number="SN-1", SN="SN-2")
    assert read_junit(suite(f'{said}<testcase name="a"/>')).run.serial_number == ""


GO = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" failures="1" errors="0" time="0.3">
 <testsuite tests="2" failures="1" time="0.3" name="acme/rail" timestamp="2026-11-20T09:00:00+01:00">
  <properties><property name="go.version" value="go1.23 linux/amd64"></property></properties>
  <testcase classname="acme/rail" name="TestRail/5V" time="0.1"></testcase>
  <testcase classname="acme/rail" name="TestRail/12V" time="0.2">
   <failure message="Failed" type="">=== RUN   TestRail/12V\n    rail_test.go:9: 11.2 V</failure>
  </testcase>
 </testsuite>
</testsuites>"""


def test_go_converters_report_is_read() -> None:
    report = read_junit(GO.encode())

    assert [(p.name, p.outcome) for p in report.run.phases] == [
        ("acme/rail::TestRail/5V", "pass"),
        ("acme/rail::TestRail/12V", "fail"),
    ]
    assert "rail_test.go:9" in report.run.phases[1].traceback
    assert report.run.started_at == START
    assert report.run.variables == (("go.version", "go1.23 linux/amd64"),)


BOMB = '<!DOCTYPE t [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {c} "{f"&{p};" * 10}">' for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not XML"),
        (SECRET.encode(), "not XML"),
        (b"<", "not XML"),
        (b"<!-- " * 1_000, "not XML"),
        (SAMPLE.read_bytes()[:400], "no XML, or breaks off"),
        (f"<{SECRET}/>".encode(), "neither testsuites nor testsuite"),
        (b"<testsuites/>", "no test case"),
        (suite(""), "no test case"),
        (suite("", 'errors="1"'), "no test case"),
        (suite('<testcase name="a"><skipped/></testcase>'), "were skipped"),
        (suite(attributes=f'timestamp="{SECRET}"'), "time or count in it is none"),
        (suite(f'<testcase name="a" time="{SECRET}"/>'), "time or count in it is none"),
        (suite('<testcase name="a" time="1e400"/>'), "time or count in it is none"),
        (suite('<testcase name="a" time="1e300"/>'), "time or count in it is none"),
        (f"{BOMB}]><testsuite><testcase name='&i;'/></testsuite>".encode(), "declares a document type"),
        (f"{BOMB}]><testsuite><testcase name='&i;'/></testsuite>".encode("utf-16"), "declares a document type"),
        (b'<!DOCTYPE t SYSTEM "file:///etc/passwd"><testsuite/>', "declares a document type"),
    ],
)
def test_anything_else_is_refused_and_none_of_its_text_repeated(content: bytes, told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        read_junit(content)
    assert SECRET not in str(refused.value)


def test_suites_nested_beyond_measure_are_no_crash() -> None:
    with pytest.raises(BadInput):
        read_junit(b"<testsuite>" * 50_000)
    deep = b"<testsuite>" * 2_000 + b"</testsuite>" * 2_000
    with pytest.raises(BadInput):
        read_junit(deep)
