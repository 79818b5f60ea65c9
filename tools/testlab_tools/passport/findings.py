"""What speaks against a unit: open failures, and what others of its part went through and it did not, or otherwise."""

from __future__ import annotations

from collections.abc import Collection

from testlab_tools.passport.nouns import Finding
from testlab_tools.passport.others import FEWEST, History, Others
from testlab_tools.passport.procedures import Key

MOST_PASS = 0.8
"""Share of the others that passed a procedure, from which on the part needs it."""

MOST_BEGIN = 0.9
"""Share of the others that began one procedure before another, from which on that is the order."""


def open_failures(own: History, unit: str) -> list[Finding]:
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


def gaps(own: History, others: Others, unit: str, cut: Collection[str] = ()) -> list[Finding]:
    """Procedures that most others passed and this unit never saw; not in services of which `cut` runs are unread."""
    if not others.enough:
        return []
    count = len(others.histories)
    found: list[Finding] = []
    for key, name in _names(others).items():
        passed = sum(key in one and one[key][-1].outcome == "pass" for one in others.histories)
        if key not in own and key.service not in cut and passed >= MOST_PASS * count:
            evidence = f"{passed} of {count} other units of the part passed it, this one has no run of it"
            found.append(Finding(kind="gap", service=key.service, test=name, unit=unit, evidence=evidence))
    return found


def out_of_order(own: History, others: Others, unit: str, cut: Collection[str] = ()) -> list[Finding]:
    """Procedures begun before one that others begin first: of several, the one most others tell of."""
    found: list[Finding] = []
    keys = [key for key in own if key.service not in cut]
    for place, early in enumerate(keys):
        pairs = [(late, *_began_first(others, late, early)) for late in keys[place + 1 :]]
        held = [(both, first, late) for late, first, both in pairs if both >= FEWEST and first >= MOST_BEGIN * both]
        if held:
            both, first, late = max(held)
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


def _began_first(others: Others, one: Key, another: Key) -> tuple[int, int]:
    """How many others began `one` before `another`, of how many that have both."""
    both = [h for h in others.histories if one in h and another in h]
    return sum(h[one][0].started_at < h[another][0].started_at for h in both), len(both)


def _names(others: Others) -> dict[Key, str]:
    return {key: runs[-1].test for history in others.histories for key, runs in history.items()}
