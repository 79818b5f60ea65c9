"""A failed run explained, in few words. Collect, compare, conclude, render: each step is a module."""

from __future__ import annotations

from collections.abc import Sequence

from testlab_tools.capabilities import Image, RunArchive
from testlab_tools.deadline import Deadline
from testlab_tools.explain.collect import collect
from testlab_tools.explain.compare import compare
from testlab_tools.explain.conclude import conclude
from testlab_tools.explain.models import Explanation
from testlab_tools.explain.render import render
from testlab_tools.models.results import RunDetail


async def explain_run(
    archive: RunArchive, native: str, detail: RunDetail, unit_archives: Sequence[RunArchive], deadline: Deadline
) -> tuple[Explanation, Image | None]:
    """Why a run failed, and the screen at its end. A part that cannot be had is named, and the rest is told.

    `unit_archives` are those that find the runs of a unit.
    """
    evidence = await collect(archive, native, detail, unit_archives, deadline)
    comparison = compare(evidence)
    notes = conclude(evidence)
    return render(evidence, comparison, notes), evidence.screen.image if evidence.screen else None
