"""A report's run, through the tool `create_run`: what arrives at the service is the same run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ConfigDict, validate_call

from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun
from testlab_tools.registry import Call
from testlab_tools.reports.arguments import build_create_run_arguments
from testlab_tools.reports.openhtf import read_openhtf_run
from testlab_tools.tools.production import create_run

if TYPE_CHECKING:
    from tests.tools.conftest import Sink

SAMPLES = Path(__file__).parents[2] / "samples"
FILES = [*sorted(SAMPLES.glob("openhtf_lot/*.json")), SAMPLES / "openhtf_validators" / "report.json"]
REPORTS = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in FILES}

through_the_tool = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(create_run.handler)


def test_the_lot_is_there() -> None:
    assert len(REPORTS) == 15


@pytest.mark.parametrize("content", REPORTS.values(), ids=REPORTS.keys())
async def test_a_report_arrives_as_it_was_read(content: bytes, sink: Sink, call_on: Callable[..., Call]) -> None:
    run = read_openhtf_run(content)
    sent = json.loads(json.dumps(build_create_run_arguments(run)))

    await through_the_tool(call_on(sink), **sent)

    (arrived,) = sink.runs
    assert arrived == replace(run, ref=arrived.ref)


async def test_every_field_of_a_run_has_an_argument(sink: Sink, call_on: Callable[..., Call]) -> None:
    run = NewRun(
        procedure_id="FVT1",
        serial_number="SN-1",
        outcome="stopped",
        started_at=datetime(2026, 11, 20, 8, 0, 0, 1000, tzinfo=UTC),
        ended_at=datetime(2026, 11, 20, 8, 0, 5, tzinfo=UTC),
        ref="",
        part_number="P",
        revision="B",
        batch_number="L",
        procedure_version="2",
        notes="stopped by hand",
        sub_units=("SN-2", "SN-3"),
    )

    await through_the_tool(call_on(sink), **build_create_run_arguments(run))

    assert sink.runs == [replace(run, ref=sink.runs[0].ref)]


def test_what_is_empty_is_left_out() -> None:
    moment = datetime(2026, 11, 20, 8, tzinfo=UTC)

    assert build_create_run_arguments(NewRun("FVT1", "SN-1", "pass", moment, moment, "")) == {
        "procedure_id": "FVT1",
        "serial_number": "SN-1",
        "outcome": "pass",
        "started_at": "2026-11-20T08:00:00Z",
        "ended_at": "2026-11-20T08:00:00Z",
    }


@pytest.mark.parametrize("value", [0, 0.0, False, "", [], 1e-9, "inf", [[1, 2]], [1, "a"], {"a": None}, 2**60])
async def test_values_that_look_empty_are_kept(value: object, sink: Sink, call_on: Callable[..., Call]) -> None:
    moment = datetime(2026, 11, 20, 8, tzinfo=UTC)
    phase = NewPhase("p", "pass", moment, moment, (NewMeasurement("m", "pass", value),))
    run = NewRun("FVT1", "SN-1", "pass", moment, moment, "", phases=(phase,))

    await through_the_tool(call_on(sink), **build_create_run_arguments(run))

    assert sink.runs[0].phases == (phase,)
