"""The parts of an explanation, asked for at once; one that cannot be had does not spoil the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

from testlab_tools.capabilities import Download, Image, LogKeeper, NodeFarm, RunArchive
from testlab_tools.errors import LabError, ServiceDown
from testlab_tools.insight.clues import Clues, texts_of
from testlab_tools.insight.elsewhere import same_failure
from testlab_tools.insight.explanation import Found, Missing, Part
from testlab_tools.insight.past import past_of
from testlab_tools.logs import read_log
from testlab_tools.models import Case
from testlab_tools.pictures import shown
from testlab_tools.records import RunDetail

T = TypeVar("T")
PART_SECONDS = 20.0
"""What one part may take: the call gives its answer well below 45 s."""

LOG_SECONDS = 8.0
"""How long a log is waited for, and then read."""


class Investigation:
    """One failed run: `found` fills up as its parts come in, `image` is the screen at its end."""

    def __init__(self, archive: RunArchive, native: str, detail: RunDetail, units: Sequence[RunArchive]) -> None:
        self._archive = archive
        self._native = native
        self._units = units
        self._failed = [case for case in detail.cases if case.outcome not in ("pass", "skip")]
        self.found = Found(detail.run, artifacts=[file.name for file in detail.artifacts])
        self.image: Image | None = None

    async def run(self) -> None:
        """Ask for everything. What the log and other runs are searched for is known once the cases are."""
        cases = asyncio.ensure_future(self._cases())
        await asyncio.gather(
            cases,
            self._part("log", self._log(cases)),
            self._part("history", self._past()),
            self._part("elsewhere", self._elsewhere(cases)),
            self._part("screenshot", self._screen()),
        )
        self.found.missing.sort(key=lambda missing: missing.part)

    async def _part(self, part: Part, question: Awaitable[T]) -> T | None:
        try:
            async with asyncio.timeout(PART_SECONDS):
                return await question
        except LabError as error:
            self.found.missing.append(Missing(part=part, why=str(error)))
        except TimeoutError:
            self.found.missing.append(Missing(part=part, why=f"It did not come within {PART_SECONDS:.0f} s."))
        return None

    async def _cases(self) -> list[Case]:
        failed = await self._part("cases", self._archive.failures(self._native))
        run = failed[0] if failed else None
        self.found.cases = run.cases if run else self._failed
        if run and not run.cases:
            self.found.notes.append("The run is said not to have passed, though none of its cases failed.")
        if run and run.reason and not any(case.reason for case in run.cases):
            self.found.cases = run.cases or [Case(case=run.test, outcome=run.outcome, reason=run.reason)]
        self.found.artifacts = self.found.artifacts or list(run.artifacts if run else ())
        return self.found.cases

    async def _log(self, cases: Awaitable[list[Case]]) -> None:
        if not isinstance(self._archive, LogKeeper):
            return
        failed = await asyncio.shield(cases)
        reasons = [case.reason for case in failed] + [case.traceback.rstrip().rpartition("\n")[2] for case in failed]
        clues = Clues(texts_of(reasons, [case.case for case in failed]))
        async with AsyncExitStack() as stack:
            log = await self._opened(stack, self._archive.open_log(self._native, "UTC"))
            reading = await read_log(log.chunks, clues, LOG_SECONDS)
        self.found.log = clues
        if not reading.whole:
            self.found.notes.append(f"The log was read for {LOG_SECONDS:.0f} s, up to line {reading.lines}.")
        if reading.lines and not clues.found:
            self.found.notes.append("The log does not repeat the reason: these are its last lines.")

    async def _opened(self, stack: AsyncExitStack, log: AbstractAsyncContextManager[Download]) -> Download:
        try:
            async with asyncio.timeout(LOG_SECONDS):
                return await stack.enter_async_context(log)
        except TimeoutError:
            what = f"The log did not begin to come within {LOG_SECONDS:.0f} s"
            raise ServiceDown(self._archive.name, what, "", "read_log waits longer.") from None

    async def _past(self) -> None:
        self.found.past, silent = await past_of(self._units, self._archive, self.found.run)
        self.found.missing += [Missing(part="history", why=share.error) for share in silent]

    async def _elsewhere(self, cases: Awaitable[list[Case]]) -> None:
        failed = await asyncio.shield(cases)
        self.found.elsewhere = await same_failure(self._archive, self.found.run, failed)

    async def _screen(self) -> None:
        if not isinstance(self._archive, NodeFarm):
            return
        image = await self._archive.run_screenshot(self._native)
        picture = await asyncio.to_thread(shown, image, "The image beside this, the screen at its end", "model")
        self.image = picture.image
        self.found.notes.append(picture.facts)
