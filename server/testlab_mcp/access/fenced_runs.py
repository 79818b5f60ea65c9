"""Runs, and what they left, behind a fence: those of allowed nodes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

from testlab_mcp.access.fence import Fence
from testlab_tools.capabilities import (
    ArtifactKeeper,
    Download,
    Export,
    FailureArchive,
    Failures,
    JobRunner,
    KeptFile,
    LogKeeper,
    NodeFarm,
    RunArchive,
    RunExport,
    Runs,
    Service,
)
from testlab_tools.errors import BadInput
from testlab_tools.models import FailedRun, Run
from testlab_tools.questions import RunQuery
from testlab_tools.records import RunDetail

PAGES = 5
"""How many pages of everybody's runs are looked through for one of the caller's."""


class FencedRuns(Fence, RunArchive):
    """Of a list, the runs of allowed nodes; how many those are in all, the service cannot say."""

    def owns_run(self, run_id: str) -> bool:
        return self.as_(RunArchive).owns_run(run_id)

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        archive = self.as_(RunArchive)
        if self.caller.nodes is None:
            return await archive.list_runs(query, limit, after)
        kept: list[Run] = []
        seen, place = 0, after
        for _ in range(PAGES):
            page = await archive.list_runs(query, limit, place)
            if query.station and page.runs:
                self.check(page.runs[0].station)
            seen += len(page.runs)
            kept += [run for run in page.runs if self.allows(run.station)]
            if len(kept) >= limit or not page.more or not page.runs:
                more = page.more or len(kept) > limit
                return Runs(kept[:limit], more=more, total=None if more or after else len(kept))
            place = page.runs[-1].position
        if not kept:
            raise self._none(seen)
        return Runs(kept, more=True)

    async def failures(self, run_id: str) -> list[FailedRun]:
        found = await self.as_(RunArchive).failures(run_id)
        for run in found:
            self.check(run.station)
        if not found and self.caller.nodes is not None and isinstance(self._inner, JobRunner):
            await self.check_job(run_id)
        return found

    async def get_run(self, run_id: str) -> RunDetail:
        found = await self.as_(RunArchive).get_run(run_id)
        self.check(found.run.station)
        return found

    def _none(self, seen: int) -> BadInput:
        return BadInput(
            f"None of the first {seen} runs of {self.name} that match is on a node that you may use",
            f"[callers.{self.caller.name}] nodes names those you may",
            "Give one of them as station.",
        )


class FencedFailures(FencedRuns, FailureArchive):
    """Of many failures, those on allowed nodes."""

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        found = await self.as_(FailureArchive).list_failures(query, limit)
        if self.caller.nodes is None:
            return found
        if query.station and found.failures:
            self.check(found.failures[0].run.station)
        kept = [failure for failure in found.failures if self.allows(failure.run.station)]
        runs = len({failure.run.run_id for failure in kept})
        return found._replace(failures=kept, runs=runs, unread=min(found.unread, runs))


class FencedLogs(Fence, LogKeeper):
    """Logs of such runs."""

    @asynccontextmanager
    async def open_log(self, run_id: str, tz: str) -> AsyncGenerator[Download]:
        await self.check_run(run_id)
        async with self.as_(LogKeeper).open_log(run_id, tz) as log:
            yield log


class FencedArtifacts(Fence, ArtifactKeeper):
    """Files of such runs."""

    async def list_artifacts(self, run_id: str) -> list[KeptFile]:
        await self.check_run(run_id)
        return await self.as_(ArtifactKeeper).list_artifacts(run_id)

    @asynccontextmanager
    async def open_artifact(self, run_id: str, name: str) -> AsyncGenerator[Download]:
        await self.check_run(run_id)
        async with self.as_(ArtifactKeeper).open_artifact(run_id, name) as file:
            yield file


class FencedExport(Fence, RunExport):
    """Reports of one allowed node: the service writes them, and they cannot be sifted here."""

    async def export_runs(
        self, query: RunQuery, form: Literal["csv", "junit"], write: Callable[[bytes], Awaitable[None]]
    ) -> Export:
        if self.caller.nodes is not None:
            if not query.station or query.text:
                raise BadInput(
                    "You may export the runs of your nodes only, one node at a time",
                    f"[callers.{self.caller.name}] nodes names them",
                    "Give station, and leave filter out.",
                )
            node = await self.as_(NodeFarm).get_node(query.station)
            self.check(self.native(node.node_id))
        return await self.as_(RunExport).export_runs(query, form, write)


RUN_FENCES: dict[type[Service], type[Fence]] = {
    FailureArchive: FencedFailures,
    RunArchive: FencedRuns,
    LogKeeper: FencedLogs,
    ArtifactKeeper: FencedArtifacts,
    RunExport: FencedExport,
}
