"""Stb-tester as a keeper of logs and artifacts: "Test results" of its REST API, from "Get log output" on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote

from testlab_tools.adapters.stbtester.client import PORTAL, Portal
from testlab_tools.adapters.stbtester.models import ArtifactEntry
from testlab_tools.adapters.stbtester.search import result_path
from testlab_tools.capabilities import ArtifactKeeper, Download, KeptFile, LogKeeper
from testlab_tools.errors import BadInput
from testlab_tools.http.errors import foreign
from testlab_tools.http.response import decode

NO_LOGS = ("text/html", "application/json")
"""A log is `text/plain` ("Get log output from test run"): these are a proxy's page, or another service's answer."""
_RUNS = "list_runs shows the runs there are."


class Files(Portal, LogKeeper, ArtifactKeeper):
    """Streams the files of results."""

    @asynccontextmanager
    async def open_log(self, run_id: str, tz: str) -> AsyncGenerator[Download, None]:
        async with self.client.stream(f"{result_path(self.name, run_id)}/stbt.log", {"tz": tz}) as stream:
            if stream.status == 400:
                raise BadInput(f"{self.name} does not know that time zone", "", "Leave tz out for UTC.")
            await self.check_found(stream.reply, "result", _RUNS, lambda: self.has_result(run_id))
            if stream.headers.get("content-type", "").startswith(NO_LOGS):
                raise foreign(self.name, PORTAL, stream.status)
            yield Download(stream.chunks(), stream.says_its_end)

    async def list_artifacts(self, run_id: str) -> list[KeptFile]:
        reply = await self.client.get(f"{result_path(self.name, run_id)}/artifacts/")
        await self.check_found(reply, "result", _RUNS, lambda: self.has_result(run_id))
        entries = decode(reply, dict[str, ArtifactEntry])
        return [KeptFile(name, entry.size) for name, entry in sorted(entries.items())]

    @asynccontextmanager
    async def open_artifact(self, run_id: str, name: str) -> AsyncGenerator[Download, None]:
        path = f"{result_path(self.name, run_id)}/artifacts/{quote(name, safe='/')}"
        async with self.client.stream(path) as stream:
            shown = "get_artifact with an empty name lists them."
            await self.check_found(stream.reply, "artifact of this result", shown, lambda: self.has_file(run_id, name))
            yield Download(stream.chunks())
