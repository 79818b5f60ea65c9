"""Tools that put all services' answers together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from testlab_tools.capabilities import FailureArchive, RunArchive
from testlab_tools.errors import BadInput
from testlab_tools.insight.nouns import Triage
from testlab_tools.insight.triage import triaged
from testlab_tools.questions import RunQuery
from testlab_tools.registry import LOOK, Call, tool
from testlab_tools.times import parse_span


@tool(toolset="insight", access="observe", needs=FailureArchive, hints=LOOK)
async def triage(
    call: Call,
    since: str = "24h",
    until: str = "",
    service: str = "",
    part: str = "",
    test: str = "",
    station: str = "",
    limit: Annotated[int, Field(ge=1, le=50)] = 15,
) -> Triage:
    """List failures of all services by cause, newest first: counts, units, stations, new or not; product,
    infrastructure or flaky, with evidence.

    No logs: explain_failure has them.
    """
    archives = call.lab.offering(FailureArchive, service)
    mute = [a for a in call.lab.services.values() if isinstance(a, RunArchive) and not isinstance(a, FailureArchive)]
    begin, end = parse_span(since, until)
    if begin is None:
        raise BadInput("since is empty", "Failures are compared with those of a window before", "Give 24h, 7d or 30d.")
    if end is None and begin >= datetime.now(UTC):
        raise BadInput(
            "since lies in the future", "Nothing can have failed yet", "Give a time that has passed, or 24h."
        )
    query = RunQuery(part=part, test=test, station=call.lab.native(station), since=begin, until=end)
    return await triaged(archives, [] if service else mute, query, limit)
