"""What speaks against a unit: open failures, and procedures that its peers went through and it did not."""

from __future__ import annotations

from collections.abc import Collection

from testlab_tools.passport.histories import MIN_PEERS, PassportInput, PeerUnits, ProcedureKey, Procedures
from testlab_tools.passport.models import Finding

MIN_PASSED = 0.8
"""Share of the peers that passed a procedure, from which on the part needs it."""

MIN_BEGAN_FIRST = 0.9
"""Share of the peers that began one procedure before another, from which on that is the order."""


def compare(data: PassportInput) -> list[Finding]:
    """What speaks against the unit, then against its sub-units. A sample is not compared: it goes beside the line."""
    found: list[Finding] = []
    for unit in data.units:
        own, peers, name = unit.procedures, data.peers_of(unit), data.sub_unit_name(unit)
        found += find_open_failures(own, name)
        if not unit.sample:
            found += find_gaps(own, peers, name, unit.cut) + find_out_of_order(own, peers, name, unit.cut)
    return found


def find_open_failures(own: Procedures, unit: str) -> list[Finding]:
    """Procedures whose last outcome is not pass."""
    return [
        Finding(
            kind="open failure",
            service=key.service,
            test=runs[-1].test,
            unit=unit,
            evidence=f"Its last of {len(runs)} runs ended with {runs[-1].outcome}"
            if runs[-1].outcome != "running"
            else "It is still running",
            run_id=runs[-1].run_id,
        )
        for key, runs in own.items()
        if runs[-1].outcome != "pass"
    ]


def find_gaps(own: Procedures, peers: PeerUnits, unit: str, cut: Collection[str] = ()) -> list[Finding]:
    """Procedures that most peers passed and this unit never saw; not in services of which `cut` runs are unread."""
    if not peers.enough:
        return []
    count = len(peers.units)
    names = {key: runs[-1].test for peer in peers.units for key, runs in peer.items()}
    found: list[Finding] = []
    for key, name in names.items():
        passed = sum(key in peer and peer[key][-1].outcome == "pass" for peer in peers.units)
        if key not in own and key.service not in cut and passed >= MIN_PASSED * count:
            evidence = f"{passed} of {count} other units of the part passed it, this one has no run of it"
            found.append(Finding(kind="gap", service=key.service, test=name, unit=unit, evidence=evidence))
    return found


def find_out_of_order(own: Procedures, peers: PeerUnits, unit: str, cut: Collection[str] = ()) -> list[Finding]:
    """Procedures begun before one that peers begin first: of several such, the one that most peers show."""
    found: list[Finding] = []
    keys = [key for key in own if key.service not in cut]
    for place, early in enumerate(keys):
        pairs = [(late, *_began_first(peers, late, early)) for late in keys[place + 1 :]]
        usual = [(both, first, late) for late, first, both in pairs if both >= MIN_PEERS]
        usual = [(both, first, late) for both, first, late in usual if first >= MIN_BEGAN_FIRST * both]
        if usual:
            both, first, late = max(usual)
            run = own[early][0]
            found.append(
                Finding(
                    kind="out of order",
                    service=early.service,
                    test=run.test,
                    before=own[late][0].test,
                    unit=unit,
                    evidence=f"{first} of {both} other units of the part began them in the other order",
                    run_id=run.run_id,
                )
            )
    return found


def _began_first(peers: PeerUnits, first: ProcedureKey, second: ProcedureKey) -> tuple[int, int]:
    """How many peers began `first` before `second`, of how many that have both."""
    both = [peer for peer in peers.units if first in peer and second in peer]
    return sum(peer[first][0].started_at < peer[second][0].started_at for peer in both), len(both)
