"""What tools report of a run: its details, log and files, a report of many; and of what production goes by."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

from testlab_tools.models.lab import Case, FailedCases, FailedRun, Measurement, ResultModel, Run
from testlab_tools.untrusted import FROM_LAB, Untrusted, sanitize

Excerpt = Annotated[str, AfterValidator(sanitize), FROM_LAB]
"""As `Untrusted`, but as long as whoever fills it lets it be."""


MAX_CASES = 200
MAX_RUNS = 50
MAX_POINTS = 20


class Artifact(ResultModel):
    """A file that a run kept; `name` may hold folders and spaces, `size` is in bytes where the service says it."""

    name: Untrusted
    size: int | None = None


class KnownRun(Run):
    """A run with what is known besides its outcome.

    `user` started or operated it; `cases_run` counts steps, a retried one once.
    """

    user: Untrusted = ""
    category: Untrusted = ""
    branch: Untrusted = ""
    batch: Untrusted = ""
    notes: Untrusted = ""
    triage_url: Untrusted = ""
    cases_run: int = 0


class RunDetail(ResultModel):
    """A run and what belongs to it; `cases` holds only failed ones where the service shows no others."""

    run: KnownRun
    doubles: SkipJsonSchema[str] = Field(default="", exclude=True)
    """Whether the run may be told twice; it becomes part of the note, whatever is asked for."""
    cases: list[Case] = []
    tags: dict[Untrusted, Untrusted] = {}
    artifacts: list[Artifact] = []
    note: str = ""
    next: str = ""


def shorten_run(run: RunDetail, include: Collection[str]) -> RunDetail:
    """The run with only what is asked for, and long lists cut, which its note then says."""
    notes = [run.doubles] if run.doubles else []
    notes += [run.note] if run.note and "cases" in include else []
    cases = run.cases if {"cases", "measurements"} & set(include) else []
    if len(cases) > MAX_CASES:
        notes.append(f"The first {MAX_CASES} of {len(cases)} cases.")
    if "measurements" in include:
        notes += _series(cases[:MAX_CASES])
    cases = [_case(case, "measurements" in include) for case in cases[:MAX_CASES]]
    artifacts = run.artifacts if "artifacts" in include else []
    if len(artifacts) > MAX_CASES:
        notes.append(f"The first {MAX_CASES} of {len(artifacts)} artifacts: get_artifact lists folders.")
    kept = {"cases": cases, "artifacts": artifacts[:MAX_CASES], "note": " ".join(notes)}
    return run.model_copy(update=kept if "tags" in include else {**kept, "tags": {}})


def summarise_failures(failed: list[FailedRun], in_full: int) -> FailedCases:
    """Runs that did not pass, as many as a model can take in; `in_full` of them were read with all they left."""
    shown = failed[:MAX_RUNS]
    cases = [case for run in shown for case in run.cases]
    notes = [f"The first {MAX_RUNS} of {len(failed)} runs: list_runs lists all."] if len(failed) > MAX_RUNS else []
    if len(shown) > in_full:
        notes.append(f"From run {in_full + 1} on without traceback and artifacts: ask with its run_id.")
    if any(not run.cases for run in shown):
        notes.append("Where cases is missing, the run is said not to have passed, though none of its cases failed.")
    notes += _series(cases)
    runs = [run.model_copy(update={"cases": [_case(case, True) for case in run.cases]}) for run in shown]
    return FailedCases(runs=runs, note=" ".join(notes))


def _series(cases: list[Case]) -> list[str]:
    values = [m.value for case in cases for m in case.measurements]
    long = any(isinstance(value, list) and len(cast(list[Any], value)) > MAX_POINTS for value in values)
    return [f"Of a measured series, the first {MAX_POINTS} points are shown."] if long else []


def _case(case: Case, measurements: bool) -> Case:
    return case.model_copy(
        update={"measurements": [_measurement(m) for m in case.measurements] if measurements else []}
    )


def _measurement(measurement: Measurement) -> Measurement:
    value = measurement.value
    return measurement.model_copy(update={"value": value[:MAX_POINTS]}) if isinstance(value, list) else measurement


def labels(*sources: Mapping[str, Any]) -> dict[str, str]:
    """Names with values of any kind, as tags: what is not text, as JSON."""
    pairs = ((name, value) for source in sources for name, value in source.items() if value is not None)
    return {
        str(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in pairs
    }


class RunFile(ResultModel):
    """A run's artifacts (`total` of them), or one of them: its text, where it was saved, or an image beside this.

    `finished` is false while it is still being saved.
    """

    run_id: str
    artifacts: list[Artifact] = []
    total: int | None = None
    name: Untrusted = ""
    size: int | None = None
    text: Excerpt = ""
    saved_to: Untrusted = ""
    finished: bool = True
    note: str = ""
    next: str = ""


class LogExcerpt(ResultModel):
    """Lines of a log as `grep -n` prints them: `12:` a line asked for, `11-` one around it, `--` where some are left
    out. `total_lines` and `matches` count the whole log."""

    run_id: str
    total_lines: int
    total_bytes: int
    matches: int | None = None
    lines: Excerpt = ""
    note: str = ""
    next: str = ""


class Exported(ResultModel):
    """A report of runs in a file of `bytes`, and the `columns` of a table; `finished` is false while it is still being
    written."""

    saved_to: str
    format: Literal["csv", "junit"]
    finished: bool
    runs: int | None = None
    columns: list[Untrusted] = []
    bytes: int
    note: str = ""
    next: str = ""


DefinitionKind = Literal["procedures", "parts", "batches", "stations"]


class Definition(ResultModel):
    """A procedure or station, by id and name; a part or batch, by number.

    `version` is that of a procedure's newest run, `runs` counts a procedure's runs, `units` a batch's units, of which
    `serial_numbers` are named. `procedures` are a station's, `stations` a procedure's.
    """

    id: str = ""
    number: Untrusted = ""
    name: Untrusted = ""
    version: Untrusted = ""
    revisions: list[Untrusted] = []
    runs: int | None = None
    units: int | None = None
    serial_numbers: list[Untrusted] = []
    procedures: list[Untrusted] = []
    stations: list[Untrusted] = []


class Definitions(ResultModel):
    """A page of definitions of one kind. `cursor` fetches the next page; empty means this is the last."""

    found: list[Definition]
    cursor: str = ""
    note: str = ""
    next: str = ""
