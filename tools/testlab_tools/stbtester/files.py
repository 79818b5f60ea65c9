"""Stb-tester as a keeper of logs and artifacts: "Test results" of its REST API, from "Get log output" on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote

from testlab_tools.capabilities import ArtifactKeeper, Download, KeptFile, LogKeeper
from testlab_tools.errors import BadInput
from testlab_tools.stbtester.models import ArtifactEntry
from testlab_tools.stbtester.portal import Portal
from testlab_tools.stbtester.results import result_path
from testlab_tools.wire import decode

_RUNS = "list_runs shows the runs there are."


class Files(Portal, LogKeeper, ArtifactKeeper):
    """Streams the files of results."""

    @asynccontextmanager
    async def open_log(self, run_id: str, tz: str) -> AsyncGenerator[Download, None]:
        async with self.client.stream(f"{result_path(self.name, run_id)}/stbt.log", {"tz": tz}) as stream:
            if stream.status == 400:
                raise BadInput(f"{self.name} does not know that time zone", "", "Leave tz out for UTC.")
            self.checked(stream.reply, "result", _RUNS)
            yield Download(stream.chunks())

    async def list_artifacts(self, run_id: str) -> list[KeptFile]:
        reply = await self.client.get(f"{result_path(self.name, run_id)}/artifacts/")
        entries = decode(self.checked(reply, "result", _RUNS), dict[str, ArtifactEntry])
        return [KeptFile(name, entry.size) for name, entry in sorted(entries.items())]

    @asynccontextmanager
    async def open_artifact(self, run_id: str, name: str) -> AsyncGenerator[Download, None]:
        path = f"{result_path(self.name, run_id)}/artifacts/{quote(name, safe='/')}"
        async with self.client.stream(path) as stream:
            self.checked(stream.reply, "artifact of this result", "get_artifact with an empty name lists them.")
            yield Download(stream.chunks())
