"""Triage: failures of all services by cause. Collect, compare, conclude, render: each step is a module."""

from __future__ import annotations

from collections.abc import Sequence

from testlab_tools.capabilities import FailureArchive, RunArchive
from testlab_tools.deadline import Deadline
from testlab_tools.models.requests import RunQuery
from testlab_tools.triage.collect import Window, collect_failures, collect_passes
from testlab_tools.triage.compare import choose_causes, compare
from testlab_tools.triage.conclude import classify
from testlab_tools.triage.models import Triage
from testlab_tools.triage.render import render


async def triage_failures(
    archives: Sequence[FailureArchive], mute: Sequence[RunArchive], query: RunQuery, limit: int, deadline: Deadline
) -> Triage:
    """Up to `limit` causes in the query's window (its `since` is set). `mute` hold runs but list no failures.

    Raises:
        LabError: every service failed; the most telling error.
    """
    window = Window.of(query)
    collected = await collect_failures(archives, query, window, deadline)
    data = compare(collected, window, one_station=bool(query.station))
    shown = choose_causes(data.causes, limit)
    data.passes = await collect_passes(archives, query, window, shown, deadline)
    verdicts = {cause: classify(data.classification_input(cause)) for cause in shown}
    return render(data, verdicts, mute)
