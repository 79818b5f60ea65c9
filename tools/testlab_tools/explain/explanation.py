"""A failed run explained: collect, compare, conclude, and render as much as fits into the tool's bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from testlab_tools.capabilities import Image, RunArchive
from testlab_tools.deadline import Deadline
from testlab_tools.explain.collect import Evidence, Missing, collect
from testlab_tools.explain.compare import Comparison, RunHistory, SimilarFailures, compare
from testlab_tools.models.lab import Case, Measurement, ResultModel, Run
from testlab_tools.models.results import Excerpt, RunDetail
from testlab_tools.token_estimate import estimate_tokens
from testlab_tools.triage.breaks import Break
from testlab_tools.untrusted import Untrusted, sanitize, shorten

MAX_TOKENS = 2_350
"""By our own count; the answer's bound is 2,500 of o200k's, the names of its untrusted fields included."""

SCALES = (1.0, 0.7, 0.45, 0.3, 0.18, 0.1, 0.05)
_TEXTS = ("test", "station", "unit", "part", "sample")


class ExplainedRun(Run):
    """A run with the steps that made it fail, the lines of its log around that, and what else became of its unit;
    `revision` of the test pack or procedure."""

    revision: Untrusted = ""
    cases: list[Case] = []
    log: Excerpt = ""
    artifacts: list[Untrusted] = []
    history: RunHistory | None = None


class Explanation(ResultModel):
    """Why a run failed; `broke` is when its test did, `elsewhere` the same failure in other runs, `missing` what could
    not be had."""

    run: ExplainedRun
    broke: Break | None = None
    elsewhere: SimilarFailures | None = None
    missing: list[Missing] = []
    note: str = ""
    next: str = ""


async def explain_run(
    archive: RunArchive,
    native: str,
    detail: RunDetail,
    unit_archives: Sequence[RunArchive],
    known: RunArchive,
    deadline: Deadline,
) -> tuple[Explanation, Image | None]:
    """Why a run failed, and the screen at its end. A part that cannot be had is named, and the rest is told.

    `unit_archives` are those that find the runs of a unit, `known` where other runs of the test are asked for.
    """
    evidence = await collect(archive, native, detail, unit_archives, known, deadline)
    explanation = render(evidence, compare(evidence), conclude(evidence))
    return explanation, evidence.screen.image if evidence.screen else None


def conclude(evidence: Evidence) -> list[str]:
    """Sentences about what contradicts itself, was not read whole, or is not what it seems."""
    notes: list[str] = []
    if evidence.contradicts:
        notes.append("The run is said not to have passed, though none of its cases failed.")
    if (log := evidence.log) is not None:
        if not log.whole:
            notes.append(f"The log was read for {log.seconds:.0f} s, up to line {log.lines}.")
        if log.lines and not log.excerpt.found:
            notes.append("The log does not repeat the reason: these are its last lines.")
    if evidence.screen:
        notes.append(evidence.screen.facts)
    return notes


def render(evidence: Evidence, comparison: Comparison, notes: Sequence[str]) -> Explanation:
    """The result in the largest of SCALES that fits into MAX_TOKENS."""
    answer = _render(evidence, comparison, notes, SCALES[0])
    for scale in SCALES[1:]:
        if estimate_tokens(answer.model_dump_json(exclude_defaults=True)) <= MAX_TOKENS:
            break
        answer = _render(evidence, comparison, notes, scale)
    return answer


def _render(evidence: Evidence, comparison: Comparison, said: Sequence[str], scale: float) -> Explanation:
    most = max(1, round(6 * scale))
    cases = [_case(case, scale, first=n == 0) for n, case in enumerate(evidence.cases[:most])]
    names = [shorten(name, 100) for name in evidence.artifacts[: max(2, round(16 * scale))]]
    notes = [*said]
    if len(evidence.cases) > most:
        notes.append(f"The first {most} of {len(evidence.cases)} steps: get_failed_cases has all.")
    if len(names) < len(evidence.artifacts):
        notes.append(f"The first {len(names)} of {len(evidence.artifacts)} artifacts: get_artifact lists all.")
    if scale < 1:
        notes.append("Long texts are cut short: get_failed_cases and read_log have them whole.")
    head: dict[str, Any] = {**_brief(evidence.run, scale), "revision": _short(evidence.run.revision, 60)}
    run = ExplainedRun(
        **head,
        cases=cases,
        log=evidence.log.excerpt.fit(round(1_800 * scale)) if evidence.log else "",
        artifacts=names,
        history=_history(comparison.history, scale),
    )
    return Explanation(
        run=run,
        broke=evidence.broke,
        elsewhere=comparison.similar,
        missing=evidence.missing,
        note=" ".join(notes),
        next="get_failed_cases has all of its steps. read_log has its log. get_artifact has its files. "
        "list_runs(test=…) shows other runs of the test.",
    )


def _brief(run: Run, scale: float) -> dict[str, Any]:
    """A run's fields, its texts not long; the reason stands with the cases."""
    kept = {name: getattr(run, name) for name in Run.model_fields if name not in ("reason", "position", "revision")}
    return {**kept, **{name: _short(kept[name], round(120 * max(scale, 0.3))) for name in _TEXTS}}


def _history(history: RunHistory | None, scale: float) -> RunHistory | None:
    if history is None:
        return None
    shown = history.runs[: max(1, round(5 * scale))]
    runs = [Run.model_validate({**_brief(run, scale), "unit": "", "part": "", "sample": ""}) for run in shown]
    return history.model_copy(update={"runs": runs})


def _case(case: Case, scale: float, first: bool) -> Case:
    measured = sorted(case.measurements, key=lambda m: m.outcome != "fail")
    failed = [m for m in measured if m.outcome == "fail"] or measured
    return Case(
        case=_short(case.case, 120),
        outcome=case.outcome,
        attempts=case.attempts,
        reason=_short(case.reason, round(400 * scale)),
        measurements=[_measurement(m, scale) for m in failed[: max(1, round(4 * scale))]],
        traceback=_end(case.traceback, round(700 * scale)) if first else "",
    )


def _measurement(measurement: Measurement, scale: float) -> Measurement:
    value = measurement.value
    if isinstance(value, list):
        value = f"a series of {len(cast(Sequence[Any], value))} points"
    elif not isinstance(value, int | float | bool | None):
        value = _short(str(value), round(120 * scale))
    most = round(120 * max(scale, 0.3))
    texts = {"name": _short(measurement.name, most), "expected": _short(measurement.expected, most)}
    return measurement.model_copy(update={"value": value, "units": _short(measurement.units, 20), **texts})


def _short(text: str, most: int) -> str:
    return shorten(text, max(most, 40))


def _end(text: str, most: int) -> str:
    """Its last lines, as many as fit: a traceback ends with the exception."""
    text = sanitize(text).rstrip()
    if len(text) <= most:
        return text
    cut = text[-max(most, 60) :]
    return "… " + (cut.partition("\n")[2] or cut)
