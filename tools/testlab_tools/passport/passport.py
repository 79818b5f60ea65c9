"""From a serial number to the unit's passport. Collect, compare, conclude, render: each step is a module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from testlab_tools.capabilities import UnitArchive
from testlab_tools.deadline import Deadline
from testlab_tools.models.lab import Outcome, ResultModel, Run, ServiceShare, Unit
from testlab_tools.passport.collect import UseHistory, collect
from testlab_tools.passport.compare import Reason, Verdict, compare, conclude
from testlab_tools.passport.histories import PassportInput, PeerUnits
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted


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


class ComparedWith(ResultModel):
    """The other units of its part that a unit was compared with: how many, their runs in which services, and when."""

    part: Untrusted
    units: int
    services: list[str]
    since: Moment
    until: Moment


class Passport(ResultModel):
    """Whether to ship a unit: `reasons` speak against it, what matters most first; `why` is said where none does, and
    `unknown` is what is not known, which keeps it from being shipped too. `units` is what each registry knows of it and
    of its sub-units, `runs` their runs over all services, oldest first."""

    ship: Literal["ship", "do not ship"]
    why: str = ""
    reasons: list[Reason] = []
    unknown: list[str] = []
    compared_with: ComparedWith | None = None
    procedures: list[Procedure] = []
    units: list[Unit] = []
    runs: list[Run] = []
    services: list[ServiceShare] = []
    note: str = ""


async def make_passport(
    archives: Sequence[UnitArchive],
    serial_number: str,
    limit: int,
    deadline: Deadline,
    unasked: Sequence[str] = (),
    blind: Sequence[str] = (),
    use_history: UseHistory | None = None,
) -> Passport:
    """The passport of a unit, with the last `limit` of its runs; `unasked` names services that were left out, `blind`
    those that keep no serial numbers. Peers are sought with `use_history`.

    Raises:
        NotFound: every service answered, and none knows the unit.
        LabError: no service answered; the most telling error.
    """
    data = await collect(archives, serial_number, deadline, unasked, use_history)
    reasons = compare(data)
    verdict = conclude(data, reasons)
    passport = render(data, reasons, verdict, [archive.name for archive in archives], limit)
    passport.services += [
        ServiceShare(service=name, shown=0, cannot=f"{name} keeps no serial numbers") for name in blind
    ]
    return passport


def render(
    data: PassportInput, reasons: Sequence[Reason], verdict: Verdict, services: Sequence[str], limit: int
) -> Passport:
    """The result, with the last `limit` runs of the unit and its sub-units."""
    runs = sorted((run for unit in data.units for run in unit.runs), key=lambda run: (run.started_at, run.run_id))
    shown = runs[-limit:]
    return Passport(
        ship="ship" if verdict.ship else "do not ship",
        why=verdict.why,
        reasons=list(reasons),
        unknown=verdict.unknown,
        compared_with=_compared_with(data.unit.part, data.peers_of(data.unit)),
        procedures=[
            summarise(found, data.sub_unit_name(unit)) for unit in data.units for found in unit.procedures.values()
        ],
        units=[record for unit in data.units for record in unit.records],
        runs=[run.model_copy(update={"part": "", "position": ""}) for run in shown],
        services=[_share(name, runs, shown, data) for name in services],
        note=_note(data, len(runs), len(shown)),
    )


def summarise(runs: Sequence[Run], unit: str) -> Procedure:
    """The runs of one procedure, oldest first, in a row."""
    first, last = runs[0], runs[-1]
    return Procedure(
        service=last.service,
        test=last.test,
        unit=unit,
        first=first.outcome,
        last=last.outcome,
        attempts=len(runs),
        first_at=first.started_at,
        last_at=last.started_at,
        last_run=last.run_id,
    )


def _share(name: str, runs: Sequence[Run], shown: Sequence[Run], data: PassportInput) -> ServiceShare:
    error = data.failed.get(name)
    return ServiceShare(
        service=name,
        shown=sum(run.service == name for run in shown),
        total=None if error else sum(run.service == name for run in runs),
        at_least=any(name in unit.cut for unit in data.units),
        error=str(error or ""),
    )


def _note(data: PassportInput, count: int, shown: int) -> str:
    notes = [f"The last {shown} of {count} runs: limit shows more; all were considered."] if shown < count else []
    if duplicates := sum(unit.duplicates for unit in data.units):
        notes.append(f"{duplicates} of the runs are kept by several services, and counted once.")
    if data.failed:
        notes.append(f"Not all is told: {', '.join(data.failed)} failed (see services).")
    return " ".join(note for note in notes if note)


def _compared_with(part: str, peers: PeerUnits) -> ComparedWith | None:
    if peers.begin is None or peers.end is None:
        return None
    services = sorted({key.service for procedures in peers.units for key in procedures})
    return ComparedWith(part=part, units=len(peers.units), services=services, since=peers.begin, until=peers.end)
