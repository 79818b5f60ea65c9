"""What speaks against a unit: open failures, and procedures that its peers went through and it did not; and so, whether
to ship it. Sentences are in our words: the names of procedures and units stand beside them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from testlab_tools.errors import ServiceError
from testlab_tools.models.lab import ResultModel, Run
from testlab_tools.passport.histories import MIN_PEERS, PassportInput, PeerUnits, ProcedureKey, Procedures, UnitHistory
from testlab_tools.untrusted import Untrusted

MIN_PASSED = 0.8
"""Share of the peers that passed a procedure, from which on the part needs it."""

MIN_BEGAN_FIRST = 0.9
"""Share of the peers that began one procedure before another, from which on that is the order."""


Kind = Literal["sample", "open failure", "gap", "out of order"]


class Reason(ResultModel):
    """What speaks against the unit, or a sub-unit (`unit`), and `why` in our words.

    A sample is not production; an open failure is a procedure `test` whose last outcome is not pass; a gap is one that
    others of the part passed and this one never saw; out of order, `test` began before `before`, which others begin
    first.
    """

    kind: Kind
    why: str
    test: Untrusted = ""
    before: Untrusted = ""
    unit: Untrusted = ""
    service: str = ""
    run_id: str = ""


def compare(data: PassportInput) -> list[Reason]:
    """What speaks against the unit, what matters most first, then against its sub-units. A sample is not compared: it
    goes beside the line."""
    found: list[Reason] = []
    for unit in data.units:
        if unit.sample:
            which = f" (sample: {unit.sample})" if unit.sample in _SAMPLES else ""
            said = f"{'It' if unit is data.unit else 'A sub-unit'} is not a production unit{which}"
            found.append(Reason(kind="sample", why=said, unit=data.sub_unit_name(unit)))
        own, peers, name = unit.procedures, data.peers_of(unit), data.sub_unit_name(unit)
        found += find_open_failures(own, name)
        if not unit.sample:
            found += find_gaps(own, peers, name, unit.cut) + find_out_of_order(own, peers, name, unit.cut)
    return found


def find_open_failures(own: Procedures, unit: str) -> list[Reason]:
    """Procedures whose last outcome is not pass."""
    return [
        Reason(
            kind="open failure",
            service=key.service,
            test=runs[-1].test,
            unit=unit,
            why=_ended(runs),
            run_id=runs[-1].run_id,
        )
        for key, runs in own.items()
        if runs[-1].outcome != "pass"
    ]


def _ended(runs: Sequence[Run]) -> str:
    if runs[-1].outcome == "running":
        return "It is still running"
    return f"{f'The last of {len(runs)} runs' if len(runs) > 1 else 'Its one run'} ended with {runs[-1].outcome}"


def find_gaps(own: Procedures, peers: PeerUnits, unit: str, cut: Collection[str] = ()) -> list[Reason]:
    """Procedures that most peers passed and this unit never saw; not in services of which `cut` runs are unread."""
    if not peers.enough:
        return []
    count = len(peers.units)
    names = {key: runs[-1].test for peer in peers.units for key, runs in peer.items()}
    found: list[Reason] = []
    for key, name in names.items():
        passed = sum(key in peer and peer[key][-1].outcome == "pass" for peer in peers.units)
        if key not in own and key.service not in cut and passed >= MIN_PASSED * count:
            why = f"{passed} of {count} other units of the part passed it, this one has no run of it"
            found.append(Reason(kind="gap", service=key.service, test=name, unit=unit, why=why))
    return found


def find_out_of_order(own: Procedures, peers: PeerUnits, unit: str, cut: Collection[str] = ()) -> list[Reason]:
    """Procedures begun before one that peers begin first: of several such, the one that most peers show."""
    found: list[Reason] = []
    keys = [key for key in own if key.service not in cut]
    for place, early in enumerate(keys):
        pairs = [(*_began_first(peers, late, early), late) for late in keys[place + 1 :]]
        usual = [
            (both, first, late) for both, first, late in pairs if both >= MIN_PEERS and first >= MIN_BEGAN_FIRST * both
        ]
        if usual:
            both, first, late = max(usual)
            run = own[early][0]
            found.append(
                Reason(
                    kind="out of order",
                    service=early.service,
                    test=run.test,
                    before=own[late][0].test,
                    unit=unit,
                    why=f"{first} of {both} other units of the part began it after the procedure in before",
                    run_id=run.run_id,
                )
            )
    return found


def _began_first(peers: PeerUnits, first: ProcedureKey, second: ProcedureKey) -> tuple[int, int]:
    """How many peers have both procedures, and how many of those began `first` before `second`."""
    both = [peer for peer in peers.units if first in peer and second in peer]
    return len(both), sum(peer[first][0].started_at < peer[second][0].started_at for peer in both)


_SAMPLES = ("golden", "failing", "ignored")


class Verdict(NamedTuple):
    """Whether to ship a unit, why in a sentence where nothing speaks against it, and what is `unknown`."""

    ship: bool
    why: str
    unknown: list[str]


def conclude(data: PassportInput, against: Sequence[Reason]) -> Verdict:
    """Ship a unit when nothing speaks against it and everything is known."""
    unknown = _unknown(data)
    if against:
        return Verdict(False, "", unknown)
    if unknown:
        return Verdict(False, "Nothing that is known speaks against it, but not all is known.", unknown)
    return Verdict(True, _reason_to_ship(data), [])


def _unknown(data: PassportInput) -> list[str]:
    """What is not known, and keeps a unit from being shipped."""
    reasons = [
        f"{name} {'did not answer' if isinstance(error, ServiceError) else 'cannot be asked'} (see services)."
        for name, error in data.failed.items()
    ]
    reasons += [f"{name} was not asked: call without service." for name in data.unasked]
    cut = sorted({name for unit in data.units for name in unit.cut})
    reasons += [f"{name} has more runs of it than were read." for name in cut]
    if data.unread:
        reasons.append("It has more sub-units than were looked at.")
    if any(not unit.runs and 0 < len(data.peers_of(unit).units) < MIN_PEERS for unit in data.sub_units):
        reasons.append("A sub-unit has no run, and too few others of its part to tell whether it should have.")
    if nameless := sorted({key.service for unit in data.units for key in unit.procedures if not key.test}):
        reasons.append(f"{', '.join(nameless)} does not name all procedures, so that they cannot be told apart.")
    if data.unit.runs and not data.unit.sample:
        reasons += _uncompared(data.unit, data.peers_of(data.unit))
    if not data.unit.runs and not data.failed:
        reasons.append("No service has a run of it.")
    return reasons


def _uncompared(unit: UnitHistory, peers: PeerUnits) -> list[str]:
    services = {key.service for key in unit.procedures}
    if mute := [name for name in peers.uncompared if name in services]:
        return [f"{', '.join(mute)} cannot list other units of a part: what is missing there cannot be told."]
    if not unit.part:
        return ["Its part is not known, so there are no others to compare with: what is missing cannot be told."]
    if not peers.enough:
        few = f"Only {len(peers.units)}" if peers.units else "No"
        return [f"{few} other units of its part to compare with: what is missing cannot be told."]
    return []


def _reason_to_ship(data: PassportInput) -> str:
    count, peers, parts = len(data.unit.procedures), len(data.peers_of(data.unit).units), len(data.sub_units)
    inside = f" Its {parts} sub-unit{'s have' if parts > 1 else ' has'} no open failure." if parts else ""
    if untested := sum(not unit.runs for unit in data.sub_units):
        inside += f" No run of {untested} of them is known." if parts > 1 else " No run of it is known."
    return (
        f"{'Its procedure' if count == 1 else f'All its {count} procedures'} passed last; beside {peers} other units "
        f"of the part none is missing, nor out of order.{inside}"
    )
