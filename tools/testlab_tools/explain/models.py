"""The explanation of a failed run, as the tool reports it."""

from __future__ import annotations

from typing import Literal

from testlab_tools.models.lab import Case, ResultModel, Run
from testlab_tools.models.results import Excerpt
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted

Part = Literal["cases", "log", "history", "elsewhere", "screenshot"]


class Missing(ResultModel):
    """A part that could not be had, and why, in our words."""

    part: Part
    why: str


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


class ExplainedRun(Run):
    """A run with the steps that made it fail, the lines of its log around that, and what else became of its unit;
    `revision` of the test pack or procedure."""

    revision: Untrusted = ""
    cases: list[Case] = []
    log: Excerpt = ""
    artifacts: list[Untrusted] = []
    history: RunHistory | None = None


class Explanation(ResultModel):
    """Why a run failed; `elsewhere` is the same failure in other runs, `missing` what could not be had."""

    run: ExplainedRun
    elsewhere: SimilarFailures | None = None
    missing: list[Missing] = []
    note: str = ""
    next: str = ""
