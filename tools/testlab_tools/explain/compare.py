"""A failed run beside others: the same failure in other runs of its test, and its place among its unit's runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from testlab_tools.capabilities import Failure
from testlab_tools.explain.collect import MAX_FAILED_RUNS, Evidence
from testlab_tools.models.lab import Case, ResultModel, Run
from testlab_tools.times import Moment
from testlab_tools.triage.causes import normalise

MAX_HANDLES = 3

_Signature = tuple[str, str]
_EMPTY: _Signature = ("", "")


class RunHistory(ResultModel):
    """The newest runs of the same unit over all services, or, without a unit, of the same test at the same station.

    `attempt` says which of `attempts` runs of the same test this one is; `passed_later` whether a later one passed.
    """

    of: str
    runs: list[Run]
    attempt: int = 0
    attempts: int = 0
    passed_later: bool = False
    note: str = ""


class SimilarFailures(ResultModel):
    """Of `failed` other runs of the test that did not pass, within two weeks, those `alike`: the same step, and the
    same message but for its numbers. `units`, `stations` and `revisions` count where; `run_ids` are the newest."""

    failed: int
    alike: int
    units: int = 0
    stations: int = 0
    revisions: int = 0
    first_at: Moment | None = None
    last_at: Moment | None = None
    run_ids: list[str] = []
    note: str = ""


class Comparison(NamedTuple):
    """What other runs show, as far as they were had."""

    history: RunHistory | None = None
    similar: SimilarFailures | None = None


def compare(evidence: Evidence) -> Comparison:
    """The run beside those of its unit and of its test."""
    history, similar = evidence.history, evidence.similar
    return Comparison(
        place_in_history(history.runs, evidence.run, bool(history.cursor)) if history else None,
        count_similar(similar.failures, evidence.run, evidence.cases, similar.more) if similar else None,
    )


def place_in_history(runs: Sequence[Run], run: Run, more: bool) -> RunHistory:
    """A run's place among runs, newest first; the run itself is among them if they reach back so far."""
    same = [one for one in runs if (one.service, one.test.casefold()) == (run.service, run.test.casefold())]
    before = sum(one.started_at < run.started_at for one in same)
    return RunHistory(
        of="unit" if run.unit else "station",
        runs=[one for one in runs if one.run_id != run.run_id],
        attempt=0 if more else before + 1,
        attempts=len(same),
        passed_later=any(one.outcome == "pass" and one.started_at > run.started_at for one in same),
        note=f"Of the newest {len(runs)} runs; there are more." if more else "",
    )


def count_similar(failures: Sequence[Failure], run: Run, cases: Sequence[Case], more: bool = False) -> SimilarFailures:
    """The failures that are like the run's own. What the list itself says of the run is preferred to `cases`, since
    one service may word a failure differently in its list and in a run."""
    listed = {_signature(f.case, f.reason) for f in failures if f.run.run_id == run.run_id} - {_EMPTY}
    own = listed or {_signature(case.case, case.reason or run.reason) for case in cases} or {_signature("", run.reason)}
    others = [f for f in failures if f.run.run_id != run.run_id]
    alike = [f for f in others if _is_alike(_signature(f.case, f.reason), own)]
    runs = list({f.run.run_id: f.run for f in alike}.values())
    runs.sort(key=lambda one: one.started_at, reverse=True)
    return SimilarFailures(
        failed=len({f.run.run_id for f in others}),
        alike=len(runs),
        units=_count_distinct(one.unit for one in runs),
        stations=_count_distinct(one.station for one in runs),
        revisions=_count_distinct(f.revision for f in alike),
        first_at=runs[-1].started_at if runs else None,
        last_at=runs[0].started_at if runs else None,
        run_ids=[one.run_id for one in runs[:MAX_HANDLES]],
        note=_note(others, more),
    )


def normalise_first_line(message: str) -> str:
    """A message's first line without what varies from run to run, as causes are told apart."""
    return normalise(next((line for line in message.splitlines() if line.strip()), ""))


def _signature(case: str, reason: str) -> _Signature:
    return (case.casefold(), normalise_first_line(reason))


def _is_alike(signature: _Signature, own: Collection[_Signature]) -> bool:
    """Where one of two does not say its step, or its message, the other of both decides."""
    return signature != _EMPTY and any(
        all(a == b or not (a and b) for a, b in zip(signature, one, strict=True)) for one in own
    )


def _note(others: Sequence[Failure], more: bool) -> str:
    notes = [f"Of the newest {MAX_FAILED_RUNS} of them: there are more."] if more else []
    if empty := sum(_signature(f.case, f.reason) == _EMPTY for f in others):
        notes.append(f"What failed in {empty} of them is not told, or was not read.")
    return " ".join(notes)


def _count_distinct(names: Iterable[str]) -> int:
    return len({name.casefold() for name in names if name})
