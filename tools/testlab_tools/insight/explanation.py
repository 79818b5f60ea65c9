"""A failed run explained: what failed, and all around it that tells why, in few words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from testlab_tools.insight.clues import Clues
from testlab_tools.insight.elsewhere import Elsewhere
from testlab_tools.insight.past import Past
from testlab_tools.insight.tokens import tokens
from testlab_tools.models import Case, Measurement, Noun, Run
from testlab_tools.records import Excerpt, KnownRun
from testlab_tools.untrusted import Untrusted, capped, plain

MOST_TOKENS = 2_350
"""By our own count; the answer's bound is 2,500 of o200k's, the names of its untrusted fields included."""

SCALES = (1.0, 0.7, 0.45, 0.3, 0.18, 0.1, 0.05)

Part = Literal["cases", "log", "history", "elsewhere", "screenshot"]


class Missing(Noun):
    """A part that could not be had, and why, in our words."""

    part: Part
    why: str


class ExplainedRun(Run):
    """A run with the steps that made it fail, the lines of its log around that, and what else became of its unit;
    `revision` of the test pack or procedure."""

    revision: Untrusted = ""
    cases: list[Case] = []
    log: Excerpt = ""
    artifacts: list[Untrusted] = []
    history: Past | None = None


class Explanation(Noun):
    """Why a run failed; `elsewhere` is the same failure in other runs, `missing` what could not be had."""

    run: ExplainedRun
    elsewhere: Elsewhere | None = None
    missing: list[Missing] = []
    note: str = ""
    next: str = ""


@dataclass
class Found:
    """All that was had of a failed run."""

    run: KnownRun
    cases: list[Case] = field(default_factory=lambda: list[Case]())
    artifacts: list[str] = field(default_factory=lambda: list[str]())
    log: Clues | None = None
    past: Past | None = None
    elsewhere: Elsewhere | None = None
    missing: list[Missing] = field(default_factory=lambda: list[Missing]())
    notes: list[str] = field(default_factory=lambda: list[str]())


def fitted(found: Found) -> Explanation:
    """As much of it as fits into MOST_TOKENS: what is cut is said."""
    return _first_that_fits(lambda scale: _written(found, scale))


def _first_that_fits(write: Callable[[float], Explanation]) -> Explanation:
    answer = write(SCALES[0])
    for scale in SCALES[1:]:
        if tokens(answer.model_dump_json(exclude_defaults=True)) <= MOST_TOKENS:
            break
        answer = write(scale)
    return answer


def _written(found: Found, scale: float) -> Explanation:
    most = max(1, round(6 * scale))
    cases = [_case(case, scale, first=n == 0) for n, case in enumerate(found.cases[:most])]
    names = [capped(name, 100) for name in found.artifacts[: max(2, round(16 * scale))]]
    notes = [*found.notes]
    notes += [f"The first {most} of {len(found.cases)} steps: get_failed_cases has all."] * (len(found.cases) > most)
    if len(names) < len(found.artifacts):
        notes.append(f"The first {len(names)} of {len(found.artifacts)} artifacts: get_artifact lists all.")
    if scale < 1:
        notes.append("Long texts are cut short: get_failed_cases and read_log have them whole.")
    head: dict[str, Any] = {**_brief(found.run, scale), "revision": _short(found.run.revision, 60)}
    run = ExplainedRun(
        **head,
        cases=cases,
        log=found.log.within(round(1_800 * scale)) if found.log else "",
        artifacts=names,
        history=_past(found.past, scale),
    )
    return Explanation(
        run=run,
        elsewhere=found.elsewhere,
        missing=found.missing,
        note=" ".join(notes),
        next="get_failed_cases, read_log and get_artifact show more of it; list_runs(test=…) its other runs.",
    )


_TEXTS = ("test", "station", "unit", "part", "sample")


def _brief(run: Run, scale: float) -> dict[str, Any]:
    """A run's fields, its texts not long; the reason stands with the cases."""
    kept = {name: getattr(run, name) for name in Run.model_fields if name not in ("reason", "position", "revision")}
    return {**kept, **{name: _short(kept[name], round(120 * max(scale, 0.3))) for name in _TEXTS}}


def _past(past: Past | None, scale: float) -> Past | None:
    if past is None:
        return None
    shown = past.runs[: max(1, round(5 * scale))]
    runs = [Run.model_validate({**_brief(run, scale), "unit": "", "part": "", "sample": ""}) for run in shown]
    return past.model_copy(update={"runs": runs})


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
    return capped(text, max(most, 40))


def _end(text: str, most: int) -> str:
    """Its last lines, as many as fit: a traceback ends with the exception."""
    text = plain(text).rstrip()
    if len(text) <= most:
        return text
    cut = text[-max(most, 60) :]
    return "… " + (cut.partition("\n")[2] or cut)
