"""From a serial number to the unit's passport."""

from __future__ import annotations

from collections.abc import Sequence

from testlab_tools.capabilities import UnitArchive
from testlab_tools.errors import LabError, NotFound, ServiceError
from testlab_tools.models import Run, ServiceShare
from testlab_tools.passport.asking import Asking
from testlab_tools.passport.collecting import Collector
from testlab_tools.passport.doubles import service_of
from testlab_tools.passport.nouns import Passport
from testlab_tools.passport.others import Others
from testlab_tools.passport.procedures import summary
from testlab_tools.passport.story import Told
from testlab_tools.passport.verdict import findings_of, reason_for, reasons_against
from testlab_tools.times import iso


async def passport_of(
    archives: Sequence[UnitArchive], serial_number: str, limit: int, unasked: Sequence[str] = ()
) -> Passport:
    """The unit with its story and the verdict on it; the last `limit` of its runs are shown.

    What a service did not answer is said, and is never an empty list.

    Raises:
        NotFound: every service answered, and none knows it.
        LabError: none of them answered: why the first in trouble did not.
    """
    asking = Asking()
    collector = Collector(archives, asking)
    unit = await collector.story(serial_number)
    known = bool(unit.runs or unit.records)
    silent = [asking.failed[a.name] for a in archives if not asking.still(a)]
    if not known and len(silent) == len(archives):
        raise next((error for error in silent if isinstance(error, ServiceError)), silent[0])
    if not known and not silent:
        raise NotFound("No service knows a unit of that serial number", "", "It must be exact; list_runs shows units.")
    sub_units, unread = await collector.sub_units(unit)
    others = await collector.others([unit, *sub_units])
    return written(Told(unit, sub_units, others, asking.failed, list(unasked), unread), archives, limit)


def written(told: Told, archives: Sequence[UnitArchive], limit: int) -> Passport:
    """The passport, from all that was told."""
    findings = findings_of(told)
    against = reasons_against(told, findings)
    runs = sorted((run for story in told.stories for run in story.runs), key=lambda run: (run.started_at, run.run_id))
    shown = runs[-limit:]
    return Passport(
        ship="do not ship" if against else "ship",
        reasons=against or [reason_for(told)],
        findings=findings,
        procedures=[
            summary(found, "" if story is told.unit else story.serial)
            for story in told.stories
            for found in story.history.values()
        ],
        units=[record for story in told.stories for record in story.records],
        runs=[run.model_copy(update={"part": "", "position": ""}) for run in shown],
        services=[_share(archive.name, runs, shown, told) for archive in archives],
        note=_note(told, len(runs), len(shown)),
    )


def _share(name: str, runs: list[Run], shown: list[Run], told: Told) -> ServiceShare:
    error: LabError | None = told.silent.get(name)
    return ServiceShare(
        service=name,
        shown=sum(service_of(run) == name for run in shown),
        total=None if error else sum(service_of(run) == name for run in runs),
        at_least=any(name in story.cut for story in told.stories),
        error="" if error is None else str(error),
    )


def _note(told: Told, count: int, shown: int) -> str:
    notes = [f"The last {shown} of {count} runs: limit shows more; all were considered."] if shown < count else []
    if twice := sum(story.doubles for story in told.stories):
        notes.append(f"{twice} of the runs are kept by several services, and counted once.")
    notes.append(_compared(told.beside(told.unit)))
    if told.silent:
        notes.append(f"Not all is told: {', '.join(told.silent)} failed (see services).")
    return " ".join(note for note in notes if note)


def _compared(others: Others) -> str:
    if others.begin is None or others.end is None:
        return ""
    return (
        f"Compared with {len(others.histories)} other units of the part that went through the line between "
        f"{iso(others.begin)} and {iso(others.end)}."
    )
