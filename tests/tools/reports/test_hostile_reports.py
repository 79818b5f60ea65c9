"""The corpus of hostile texts, bytes and values in reports: read without what acts or hides, or refused unquoted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.reports.allure import read_allure
from testlab_tools.reports.read import read_reports
from testlab_tools.reports.report import Report, plan_run
from testlab_tools.untrusted import sanitize

CORPUS = json.loads((Path(__file__).parents[2] / "samples" / "hostile" / "corpus.json").read_bytes())
TEXTS = {f"{kind}: {name}": text for kind, named in CORPUS["texts"].items() for name, text in named.items()}
NOON = "2026-11-20T12:00:00Z"


def run_of(value: str) -> str:
    """A testlab-run with a JSON value wherever text may be."""
    span = f'"started_at": "{NOON}", "ended_at": "{NOON}"'
    measured = f'{{"name": {value}, "outcome": "fail", "value": {value}, "units": {value}, "expected": {value}}}'
    phase = f'{{"name": {value}, "outcome": "fail", {span}, "reason": {value}, "traceback": {value}, '
    phase += f'"measurements": [{measured}]}}'
    head = f'"format": "testlab-run", "version": 1, "outcome": "fail", {span}, "unit": {{"serial_number": {value}}}'
    return f'{{{head}, "station": {value}, "notes": {value}, "log": {value}, "phases": [{phase}]}}'


def ctrf_of(value: str) -> str:
    test = f'{{"name": {value}, "status": "failed", "duration": 1, "suite": [{value}], "message": {value}, '
    test += f'"trace": {value}, "stdout": [{value}]}}'
    environment = f'{{"appName": {value}, "extra": {{"serial_number": {value}}}}}'
    results = f'"tool": {{"name": {value}}}, "summary": {{"start": 1, "stop": 2}}, "tests": [{test}]'
    return f'{{"reportFormat": "CTRF", "results": {{{results}, "environment": {environment}}}}}'


def allure_of(value: str) -> str:
    details = f'"statusDetails": {{"message": {value}, "trace": {value}}}, "attachments": [{{"source": {value}}}]'
    return (
        f'{{"uuid": "u", "name": {value}, "status": "failed", "start": 1, "stop": 2, "fullName": {value}, {details}}}'
    )


def junit_of(text: str) -> str:
    named = quoteattr("".join(c for c in text if c in "\t\n" or " " <= c < "\ud800" or "\ue000" <= c < "\ufffe"))
    inside = f"<testcase name={named} classname={named}><failure message={named}/></testcase>"
    head = f"<properties><property name={named} value={named}/><property name='sn' value={named}/></properties>"
    return f'<testsuite timestamp="{NOON}" hostname={named}>{head}{inside}</testsuite>'


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str, bytes], Report]:
    def read(form: str, content: bytes) -> Report:
        if form != "allure":
            return read_reports(content, form)[0]
        (tmp_path / "u-result.json").write_bytes(content)
        return read_allure(tmp_path)

    return read


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from texts_in(name)
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


FORMS = {"run.json": run_of, "ctrf.json": ctrf_of, "allure": allure_of}


@pytest.mark.parametrize("form", [*FORMS, "junit.xml"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_is_read_without_what_acts_or_hides(
    name: str, form: str, read: Callable[[str, bytes], Report]
) -> None:
    text = TEXTS[name]
    made = FORMS[form](json.dumps(text)) if form in FORMS else junit_of(text)
    error = ""
    try:
        report = read(form, made.encode("utf-8", "surrogatepass"))
    except BadInput as refused:
        report, error = None, str(refused)
    if report is None:
        assert len(text) < 12 or text not in error
        return
    run = asdict(report.run)
    for phase in run["phases"]:
        for measured in phase["measurements"]:
            measured["value"] = None  # data, sanitized where it is shown
    for found in (*texts_in(run), report.station, report.operator, report.log, *report.files):
        assert found == sanitize(found)
    for found in texts_in(plan_run("factory", report).model_dump(mode="json")):
        assert found == sanitize(found)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CORPUS["json"])
def test_a_value_of_another_type_is_read_or_refused(name: str, form: str, read: Callable[[str, bytes], Report]) -> None:
    head, times, tail = CORPUS["json"][name]
    value = head * times + ("1" if head.endswith(":") else "") + tail * times
    try:
        report = read(form, FORMS[form](value).encode())
    except BadInput:
        return
    plan_run("factory", report).model_dump_json()


@pytest.mark.parametrize("form", [*FORMS, "junit.xml"])
@pytest.mark.parametrize("name", CORPUS["bytes"])
def test_bytes_that_are_no_text_are_read_or_refused(name: str, form: str, read: Callable[[str, bytes], Report]) -> None:
    raw = bytes.fromhex(CORPUS["bytes"][name])
    made = FORMS[form]('"MARK"') if form in FORMS else junit_of("MARK")
    try:
        report = read(form, made.encode().replace(b"MARK", raw))
    except BadInput:
        return
    plan_run("factory", report).model_dump_json()
