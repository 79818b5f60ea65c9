"""From a serial number to the unit's passport. Collect, compare, conclude, render: each step is a module."""

from __future__ import annotations

from collections.abc import Sequence

from testlab_tools.capabilities import UnitArchive
from testlab_tools.deadline import Deadline
from testlab_tools.passport.collect import collect
from testlab_tools.passport.compare import compare
from testlab_tools.passport.conclude import conclude
from testlab_tools.passport.models import Passport
from testlab_tools.passport.render import render


async def make_passport(
    archives: Sequence[UnitArchive], serial_number: str, limit: int, deadline: Deadline, unasked: Sequence[str] = ()
) -> Passport:
    """The passport of a unit, with the last `limit` of its runs; `unasked` names services that were left out.

    Raises:
        NotFound: every service answered, and none knows the unit.
        LabError: no service answered; the most telling error.
    """
    data = await collect(archives, serial_number, deadline, unasked)
    findings = compare(data)
    verdict = conclude(data, findings)
    return render(data, findings, verdict, [archive.name for archive in archives], limit)
