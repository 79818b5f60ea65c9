"""The tests of a panel: collected by it, and selected for the next start.

Both have the panel start a process of its own that rewrites the live state when it is done, which no answer waits for:
so it is waited for here, by what changes in the state. A test module that cannot be imported is missing from what was
collected, without a word.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from testlab_tools.adapters.hardpy.models import StateDocument
from testlab_tools.adapters.hardpy.nodes import Stand
from testlab_tools.capabilities import TestPack
from testlab_tools.errors import Conflict, NotFound
from testlab_tools.http import ServiceClient
from testlab_tools.http.errors import unlisted
from testlab_tools.http.response import Wire, decode

CURRENT = "current"
"""The only revision: what is in the panel's tests folder now."""
KNOWN_SECONDS = 30.0
"""For so long, what was collected is what there is."""


class _Selected(Wire):
    status: str


class Pack(Stand, TestPack):
    """Collects what can be run, and selects what is to be."""

    collect_seconds = 15.0
    """As long as a collection may take; a bench's tests import its drivers."""
    unseen_seconds = 4.0
    """As long as one is waited for that changes nothing to be seen."""
    look_seconds = 0.2

    def __init__(self, name: str, client: ServiceClient) -> None:
        super().__init__(name, client)
        self._names: list[str] = []
        self._known_until = 0.0
        self.rewriting = asyncio.Lock()
        """Held while the panel may rewrite its live state."""

    async def list_test_cases(self, revision: str) -> list[str]:
        self.check_revision(revision)
        async with self.rewriting:
            if time.monotonic() >= self._known_until:
                self._names = await self._collect()
                self._known_until = time.monotonic() + KNOWN_SECONDS
        return self._names

    def check_revision(self, revision: str) -> None:
        """Raises NotFound for another than the current one."""
        if revision != CURRENT:
            raise NotFound(
                f"{self.name} has no such revision",
                "A HardPy panel has its tests as they are now",
                f"Give {CURRENT!r}.",
            ).naming(revision)

    async def _collect(self) -> list[str]:
        """The names of all tests. What the panel's page shows of the last run is cleared, as by its own reload."""
        before = (await self.read_store(fresh=True)).live
        until = time.monotonic() + self.unseen_seconds
        while await self.order("/api/collect", "collecting its tests", "collected", "busy") == "busy":
            if time.monotonic() >= until:
                raise await self.conflict()
            await asyncio.sleep(self.look_seconds)
        shown = None if before is None else _shows(before)
        live = await self._await_state(lambda state: _shows(state) != shown, self.unseen_seconds, unseen=True)
        if live is None or not live.cases:
            raise NotFound(f"{self.name} has found no tests", "Their modules may not import", _CONSOLE)
        return list(live.cases)

    async def select(self, tests: Sequence[str]) -> None:
        """Have the next start run exactly these, and see it done. The panel says nothing of what was selected before.

        Raises:
            Conflict: it runs tests, or has not done so in time.
        """
        live = (await self.read_store(fresh=True)).live
        if live is not None and live.start_time is None and set(live.cases) == set(tests):
            # Selecting the same changes nothing to be seen: others are selected in between.
            await self.send_selection(tests[:1] if len(tests) > 1 else [])
            await self._await_state(lambda state: set(state.cases) != set(tests), self.unseen_seconds, unseen=True)
        await self.send_selection(tests)
        fit = await self._await_state(
            lambda state: state.start_time is None and set(state.cases) == set(tests), self.collect_seconds
        )
        if fit is None:
            raise Conflict(
                f"{self.name} did not show the tests as selected within {self.collect_seconds:g} s",
                "They may not be collected as they are named, or somebody selects others on the panel",
                "Nothing was started. list_test_cases shows what there is.",
            )

    async def send_selection(self, tests: Sequence[str]) -> None:
        """Select tests, none for all. While tests run, it is taken for the next start."""
        reply = await self.client.send(
            "POST", "/api/selected_tests", body=list(tests), settled=lambda reply: reply.status == 200
        )
        if decode(self.check(reply, "the selection"), _Selected).status != "success":
            raise unlisted(self.name, reply.status, "the selection")

    async def _await_state(
        self, fits: Callable[[StateDocument], bool], seconds: float, *, unseen: bool = False
    ) -> StateDocument | None:
        """The live state once it fits; after `seconds` None, or if it may be done `unseen`, as it is."""
        until = time.monotonic() + seconds
        while True:
            live = (await self.read_store(fresh=True)).live
            if live is not None and fits(live):
                return live
            if time.monotonic() >= until:
                return live if unseen else None
            await asyncio.sleep(self.look_seconds)


def _shows(live: StateDocument) -> tuple[object, ...]:
    """What a collection changes."""
    return (live.status, live.start_time, live.stop_time, tuple(live.cases))


_CONSOLE = "The panel's own console says why."
