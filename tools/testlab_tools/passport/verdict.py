"""Ship, or not, and why, in our words: the names of procedures and units stand in the findings."""

from __future__ import annotations

from collections.abc import Sequence

from testlab_tools.errors import ServiceError
from testlab_tools.passport.findings import gaps, open_failures, out_of_order
from testlab_tools.passport.nouns import Finding
from testlab_tools.passport.others import FEWEST, Others
from testlab_tools.passport.story import Story, Told

_SAMPLES = ("golden", "failing", "ignored")
_AGAINST: dict[str, tuple[str, str]] = {
    "open failure": (
        "The last outcome of a procedure is not pass",
        "The last outcome of {} procedures is not pass",
    ),
    "gap": (
        "A procedure that others of its part passed is missing",
        "{} procedures that others of its part passed are missing",
    ),
    "out of order": ("A procedure was begun out of order", "{} procedures were begun out of order"),
}


def findings_of(told: Told) -> list[Finding]:
    """What speaks against the unit, then against its sub-units. A sample goes its own way, beside the line."""
    found: list[Finding] = []
    for story in told.stories:
        own, others = story.history, told.beside(story)
        name = "" if story is told.unit else story.serial
        found += open_failures(own, name)
        if not story.sample:
            found += gaps(own, others, name, story.cut) + out_of_order(own, others, name, story.cut)
    return found


def reasons_against(told: Told, findings: Sequence[Finding]) -> list[str]:
    """Why not to ship; none when nothing speaks against it and everything is known."""
    reasons = _no_production_unit(told)
    reasons += _unknown(told)
    if not told.unit.runs and not told.silent:
        reasons.append("No service has a run of it.")
    for kind, (one, several) in _AGAINST.items():
        for inside in (False, True):
            these = [f for f in findings if f.kind == kind and bool(f.unit) is inside]
            if these:
                said = one if len(these) == 1 else several.format(len(these))
                reasons.append(f"{said}{', in a sub-unit' if inside else ''} ({these[0].evidence}).")
    return reasons


def reason_for(told: Told) -> str:
    """Why to ship."""
    count, others, parts = len(told.unit.history), len(told.beside(told.unit).histories), len(told.sub_units)
    inside = f" Its {parts} sub-unit{'s have' if parts > 1 else ' has'} no open failure." if parts else ""
    if untested := sum(not story.runs for story in told.sub_units):
        inside += f" No run of {untested} of them is known." if parts > 1 else " No run of it is known."
    return (
        f"{'Its procedure' if count == 1 else f'All its {count} procedures'} passed last; beside {others} other units "
        f"of the part none is missing, nor out of order.{inside}"
    )


def _no_production_unit(told: Told) -> list[str]:
    reasons: list[str] = []
    for story in told.stories:
        if story.sample:
            which = f" (sample: {story.sample})" if story.sample in _SAMPLES else ""
            reasons.append(f"{'It' if story is told.unit else 'A sub-unit'} is not a production unit{which}.")
    return list(dict.fromkeys(reasons))


def _unknown(told: Told) -> list[str]:
    """What is not known, and keeps a unit from being shipped."""
    reasons = [
        f"{name} {'did not answer' if isinstance(error, ServiceError) else 'cannot be asked'} (see services)."
        for name, error in told.silent.items()
    ]
    reasons += [f"{name} was not asked: leave service out." for name in told.unasked]
    cut = sorted({name for story in told.stories for name in story.cut})
    reasons += [f"{name} has more runs of it than were read." for name in cut]
    if told.unread:
        reasons.append("It has more sub-units than were looked at.")
    if any(not story.runs and 0 < len(told.beside(story).histories) < FEWEST for story in told.sub_units):
        reasons.append("A sub-unit has no run, and too few others of its part to tell whether it should have.")
    if nameless := sorted({key.service for story in told.stories for key in story.history if not key.test}):
        reasons.append(f"{', '.join(nameless)} does not name all procedures, so that they cannot be told apart.")
    if told.unit.runs and not told.unit.sample:
        reasons += _uncompared(told.unit, told.beside(told.unit))
    return reasons


def _uncompared(story: Story, others: Others) -> list[str]:
    held = {key.service for key in story.history}
    if mute := [name for name in others.uncompared if name in held]:
        return [f"{', '.join(mute)} cannot list other units of a part: what is missing there cannot be told."]
    if not story.part:
        return ["Its part is not known, so there are no others to compare with: what is missing cannot be told."]
    if not others.enough:
        count = len(others.histories)
        few = f"Only {count}" if count else "No"
        return [f"{few} other units of its part to compare with: what is missing cannot be told."]
    return []
