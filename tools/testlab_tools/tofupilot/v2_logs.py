"""Logs of runs in API v2: lines put together from the entries that `GET /v2/logs` lists."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

from testlab_tools.capabilities import Download, LogKeeper
from testlab_tools.errors import NotFound
from testlab_tools.tofupilot.entries import Entries, LogEntry
from testlab_tools.tofupilot.v2_api import V2Api, is_uuid
from testlab_tools.wire import decode

_PAGE = 100


class V2Logs(V2Api, LogKeeper):
    """`GET /v2/logs` of one run, oldest first."""

    @asynccontextmanager
    async def open_log(self, run_id: str, tz: str) -> AsyncGenerator[Download, None]:
        if not is_uuid(run_id):
            raise NotFound(f"{self.name} has no such run", "Its run ids are UUIDs", "list_runs shows the runs.")
        first = await self._entries(run_id, {})
        if not first.data:
            reply = await self.client.get(f"/api/v2/runs/{run_id}")
            self.checked(reply, "run", "list_runs shows the runs there are.")
        yield Download(self._lines(run_id, first, ZoneInfo(tz)))

    async def _lines(self, run_id: str, page: Entries[LogEntry], zone: ZoneInfo) -> AsyncIterator[bytes]:
        while True:
            yield "".join(_line(entry, zone) for entry in page.data).encode()
            if not page.meta.has_more or page.meta.next_cursor is None:
                return
            page = await self._entries(run_id, {"cursor": page.meta.next_cursor})

    async def _entries(self, run_id: str, at: dict[str, Any]) -> Entries[LogEntry]:
        params = {"run_ids": [run_id], "limit": _PAGE, "sort_by": "created_at", "sort_order": "asc", **at}
        return decode(self.checked(await self.client.get("/api/v2/logs", params), "log"), Entries[LogEntry])


def _line(entry: LogEntry, zone: ZoneInfo) -> str:
    at = entry.created_at.astimezone(zone).isoformat(timespec="milliseconds")
    source = f" {entry.source_file}:{entry.line_number or '?'}" if entry.source_file else ""
    return f"{at} {entry.level}{source} {entry.message}\n"
