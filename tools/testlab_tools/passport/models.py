"""What a passport says, as the tool reports it."""

from __future__ import annotations

from typing import Literal

from testlab_tools.models.lab import Outcome, ResultModel, Run, ServiceShare, Unit
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted

Kind = Literal["gap", "out of order", "open failure"]


class Procedure(ResultModel):
    """One procedure of a unit in one service: how it went first and last, in how many runs. `unit` is left out for the
    unit itself, and names a sub-unit."""

    service: str
    test: Untrusted
    unit: Untrusted = ""
    first: Outcome
    last: Outcome
    attempts: int
    first_at: Moment
    last_at: Moment
    last_run: str


class Finding(ResultModel):
    """What speaks against the unit, or a sub-unit (`unit`), with its `evidence` in our words.

    A gap is a procedure that others of the part passed and this one never saw; out of order, `test` began before
    `before`, which others begin first; an open failure is a procedure whose last outcome is not pass.
    """

    kind: Kind
    service: str
    test: Untrusted
    before: Untrusted = ""
    unit: Untrusted = ""
    evidence: str
    run_id: str = ""


class Passport(ResultModel):
    """Whether to ship a unit, and why: `findings` is what speaks against it, `units` what each registry knows of it and
    of its sub-units, `runs` their runs over all services, oldest first."""

    ship: Literal["ship", "do not ship"]
    reasons: list[str]
    findings: list[Finding] = []
    procedures: list[Procedure] = []
    units: list[Unit] = []
    runs: list[Run] = []
    services: list[ServiceShare] = []
    note: str = ""
