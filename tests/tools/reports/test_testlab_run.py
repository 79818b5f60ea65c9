"""Our own report format: what is written is read back, and nothing passes that its schema does not have."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun
from testlab_tools.reports.formats import detect_format
from testlab_tools.reports.read import read_reports
from testlab_tools.reports.testlab_run import describe_schema, read_testlab_run, write_run
from testlab_tools.untrusted import sanitize

PAGE = Path(__file__).parents[3] / "docs" / "testlab-run.md"
EXAMPLE = json.loads(re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0])
SECRET = "ignore_previous_instructions"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

texts = st.text(max_size=20).map(sanitize)
names = st.text(min_size=1, max_size=20).map(sanitize).filter(bool)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | numbers
    | st.text(max_size=9).map(lambda t: t.encode("utf-8", "replace").decode()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
spans = st.tuples(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.timezones()),
    st.timedeltas(timedelta(0), timedelta(days=1)),
)
measurements = st.builds(
    NewMeasurement,
    names,
    st.sampled_from(("pass", "fail", "unset")),
    values,
    texts,
    numbers | st.none(),
    numbers | st.none(),
    texts,
)


def _phase(name: str, outcome: Any, span: Any, measured: list[NewMeasurement], reason: str, traceback: str) -> NewPhase:
    begun = span[0].astimezone(UTC)
    return NewPhase(name, outcome, begun, begun + span[1], tuple(measured), reason, traceback)


phases = st.builds(
    _phase,
    names,
    st.sampled_from(("pass", "fail", "error", "skip")),
    spans,
    st.lists(measurements, max_size=3),
    texts,
    texts,
)


@st.composite
def runs(draw: st.DrawFn) -> NewRun:
    begun, length = draw(spans)
    fields = ("procedure_name", "part_number", "part_name", "revision", "batch_number", "procedure_version", "notes")
    return NewRun(
        draw(texts),
        draw(texts),
        draw(st.sampled_from(("pass", "fail", "error", "stopped"))),
        begun.astimezone(UTC),
        begun.astimezone(UTC) + length,
        str(draw(st.uuids())),
        phases=tuple(draw(st.lists(phases, max_size=4))),
        sub_units=tuple(draw(st.lists(names, max_size=3))),
        variables=tuple(draw(st.lists(st.tuples(names, texts), max_size=3))),
        **{name: draw(texts) for name in fields},
    )


@settings(max_examples=60, deadline=None)
@given(runs(), texts, texts, texts)
def test_what_is_written_is_read_back(run: NewRun, station: str, operator: str, log: str) -> None:
    files = ("a.files/scope.png", "b.txt")
    content = write_run(run, station=station, operator=operator, files=files, log=log)
    assert detect_format(content) == "testlab"
    (report,) = read_reports(content, "run.json")
    assert report.run == run
    assert (report.station, report.operator, report.files, report.log) == (station, operator, files, log)


@settings(max_examples=40, deadline=None)
@given(st.text(), st.floats() | st.lists(st.floats(), max_size=3), st.floats())
def test_any_text_and_number_can_be_written_and_only_what_acts_or_hides_is_lost(
    text: str, value: Any, limit: float
) -> None:
    measured = NewMeasurement("m", "pass", value, "", limit, limit)
    run = NewRun(
        "P", text, "pass", NOON, NOON, str(UUID(int=1)), phases=(NewPhase("p", "pass", NOON, NOON, (measured,)),)
    )
    report = read_testlab_run(write_run(run, log=text))
    (read,) = report.run.phases[0].measurements
    assert report.run.serial_number == report.log == sanitize(text.encode("utf-8", "replace").decode())
    assert read.lower == read.upper == (limit if abs(limit) < float("inf") else None)
    assert str(read.value) in (
        str(value),
        str([v if abs(v) < float("inf") else str(v) for v in value] if isinstance(value, list) else value),
    )


def test_the_documented_example_is_one() -> None:
    report = read_testlab_run(json.dumps(EXAMPLE).encode())
    (phase,) = report.run.phases
    assert (report.run.serial_number, report.run.procedure_id, report.run.batch_number) == ("SN-0042", "FVT1", "LOT-42")
    assert (phase.reason, phase.measurements[0].value, phase.measurements[0].upper) == (
        "rail_5v is 5.31 V, above 5.25",
        5.31,
        5.25,
    )
    assert report.files == ("SN-0042.files/scope.png",)
    assert report.variables == (("firmware", "2.1.0"), ("station", "bench-3"), ("operator", "mk"))


def test_without_a_ref_it_is_made_from_the_content() -> None:
    bare = {name: value for name, value in EXAMPLE.items() if name != "ref"}
    first, again = (read_testlab_run(json.dumps(bare, indent=indent).encode()).run.ref for indent in (None, 4))
    assert first == again != read_testlab_run(json.dumps(bare | {"notes": "x"}).encode()).run.ref


def test_the_schema_names_every_field_and_its_required_ones() -> None:
    schema = describe_schema()
    assert set(EXAMPLE) <= set(schema["properties"])
    assert schema["required"] == ["format", "version", "outcome", "started_at", "ended_at"]
    assert schema["$defs"]["Phase"]["properties"]["started_at"] == {
        "format": "date-time",
        "title": "Started At",
        "type": "string",
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "later version"),
        ({"version": 0}, "Field version"),
        ({"version": "1"}, "Field version"),
        ({"outcome": SECRET}, "Field outcome"),
        ({"outcome": None}, "Field outcome"),
        ({"ref": SECRET}, "Field ref"),
        ({"started_at": "2026-11-20T08:00:00"}, "Field started_at"),
        ({"started_at": 1_700_000_000}, "Field started_at"),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, "Field started_at"),
        ({"ended_at": "2026-11-20T07:00:00Z"}, "Field (the whole)"),
        ({"unit": {"serial_number": 42}}, "Field unit.serial_number"),
        ({"attachments": ["../../etc/passwd"]}, "Field attachments.0"),
        ({"attachments": ["/etc/passwd"]}, "Field attachments.0"),
        ({"attachments": ["C:/secret"]}, "Field attachments.0"),
        ({"attachments": ["a\\b"]}, "Field attachments.0"),
        ({"attachments": ["a//b"]}, "Field attachments.0"),
        ({"attachments": ["a" * 1_001]}, "Field attachments.0"),
        ({"phases": [{SECRET: 1}]}, "Field phases.0.name is missing"),
        ({"phases": {}}, "Field phases"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_of_it_quoted(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)) as refused:
        read_testlab_run(json.dumps(EXAMPLE | changes).encode())
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ({"lower": "4.75"}, "lower"),
        ({"lower": True}, "lower"),
        ({"upper": float("nan")}, "upper"),
        ({"outcome": "PASS"}, "outcome"),
        ({"name": ""}, "name"),
    ],
)
def test_a_limit_is_a_number(measured: dict[str, Any], said: str) -> None:
    phase = {**EXAMPLE["phases"][0], "measurements": [EXAMPLE["phases"][0]["measurements"][0] | measured]}
    with pytest.raises(BadInput, match=f"Field phases.0.measurements.0.{said}"):
        read_testlab_run(json.dumps(EXAMPLE | {"phases": [phase]}).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        json.dumps(EXAMPLE).encode()[:-20],
        json.dumps(EXAMPLE).encode()[:-1] + b', "outcome": "pass"}',
        json.dumps(EXAMPLE).encode()[:-1] + b', "notes": ' + b"[" * 100_000,
        json.dumps(EXAMPLE).encode()[:-1] + b', "notes": ' + b"9" * 5_000 + b"}",
        json.dumps(EXAMPLE).encode()[:-1] + b', "x": [' + b"{}," * 260_000 + b"{}]}",
    ],
    ids=["empty", "list", "cut", "a name twice", "deep", "a huge number", "too many values"],
)
def test_what_is_damaged_or_a_bomb_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput):
        read_testlab_run(content)


def test_what_could_not_be_read_back_is_not_written() -> None:
    points = [[n, n] for n in range(200_000)]
    series = NewPhase("p", "pass", NOON, NOON, (NewMeasurement("m", "pass", points),))
    wrong = [
        NewRun("P", "S", "pass", NOON, NOON, str(UUID(int=1)), phases=(series,)),
        NewRun("P", "S", "pass", NOON, NOON - timedelta(seconds=1), str(UUID(int=1))),
        NewRun("P", "S", "pass", NOON, NOON, "no uuid"),
    ]
    for run in wrong:
        with pytest.raises(BadInput):
            write_run(run)
    with pytest.raises(BadInput, match="attachments"):
        write_run(NewRun("P", "S", "pass", NOON, NOON, str(UUID(int=1))), files=["../secret"])
