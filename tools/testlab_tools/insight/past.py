"""What else became of a unit; of a device that has no serial number, of the same test on its node."""

from __future__ import annotations

from collections.abc import Sequence

from testlab_tools.capabilities import RunArchive
from testlab_tools.merged import list_merged
from testlab_tools.models import Noun, Run, ServiceShare
from testlab_tools.questions import RunQuery

LOOKED_AT = 50


class Past(Noun):
    """The newest runs of the same unit over all services, or, without a unit, of the same test at the same station.

    `attempt` says which of `attempts` runs of the same test this one is; `passed_later` whether a later one passed.
    """

    of: str
    runs: list[Run]
    attempt: int = 0
    attempts: int = 0
    passed_later: bool = False
    note: str = ""


async def past_of(archives: Sequence[RunArchive], archive: RunArchive, run: Run) -> tuple[Past, list[ServiceShare]]:
    """The past, and the shares of services that did not answer."""
    if run.unit:
        page = await list_merged(archives, RunQuery(unit=run.unit), LOOKED_AT, "", "")
    else:
        page = await list_merged([archive], RunQuery(test=run.test, station=run.station), LOOKED_AT, "", "")
    past = told(page.runs, run, bool(page.cursor))
    return past, [share for share in page.services if share.error]


def told(runs: Sequence[Run], run: Run, more: bool) -> Past:
    """From runs, newest first, the run itself among them if they reach back so far."""
    service = run.run_id.partition(":")[0]
    same = [one for one in runs if one.test.casefold() == run.test.casefold() and one.run_id.startswith(f"{service}:")]
    before = sum(one.started_at < run.started_at for one in same)
    return Past(
        of="unit" if run.unit else "station",
        runs=[one for one in runs if one.run_id != run.run_id],
        attempt=0 if more else before + 1,
        attempts=len(same),
        passed_later=any(one.outcome == "pass" and one.started_at > run.started_at for one in same),
        note=f"Of the newest {len(runs)} runs; there are more." if more else "",
    )
