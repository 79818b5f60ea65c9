"""Values for what a template or a prompt leaves open, as the user types.

It is asked at every key press, so it is cheap: the newest runs of a week, all services at once, kept for some seconds.
A service that does not answer soon gives no values; completing is never an error on its account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from weakref import WeakKeyDictionary

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from testlab_mcp.menu.arguments import MOST_CHARS
from testlab_mcp.menu.offer import GET_ARTIFACT, LIST_NODES, LIST_RUNS, RUN_TESTS, Offer, spec_of
from testlab_mcp.menu.prompts import recipe_of
from testlab_mcp.menu.resources import SHELVES
from testlab_tools.capabilities import ArtifactKeeper, RunArchive, Service
from testlab_tools.errors import LabError
from testlab_tools.lab import Lab
from testlab_tools.models import NodeList, Run
from testlab_tools.questions import RunQuery
from testlab_tools.untrusted import plain

ANSWER_SECONDS = 3.0
KEPT_SECONDS = 10.0
MOST_VALUES = 100
"""As many as the protocol lets one answer have."""

RECENT_RUNS = 50
RECENT = timedelta(days=7)
SPANS = ("24h", "12h", "48h", "7d", "14d")
T = TypeVar("T")


@dataclass(frozen=True)
class Blank:
    """What is to be completed: its beginning, what was filled in elsewhere, and what a service must be able to do."""

    text: str
    others: dict[str, str]
    needs: type[Service]


class Completer:
    """Answers `completion/complete`."""

    def __init__(self, offered: Callable[[], Offer]) -> None:
        """`offered` gives what the caller of the request at hand is offered."""
        self._offered = offered
        self._kept: WeakKeyDictionary[Lab, dict[object, tuple[float, object]]] = WeakKeyDictionary()
        self._sources: dict[str, tuple[str, Callable[[Blank], Awaitable[Iterable[str]]]]] = {
            "handle": (LIST_RUNS, self._handles),
            "run_id": (LIST_RUNS, self._handles),
            "test": (LIST_RUNS, self._tests),
            "serial_number": (LIST_RUNS, self._serial_numbers),
            "node_id": (LIST_NODES, self._nodes),
            "name": (GET_ARTIFACT, self._artifacts),
        }

    @property
    def _offer(self) -> Offer:
        return self._offered()

    async def __call__(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        """Raises MCPError for a template, prompt or argument that there is not, or that is not allowed."""
        needs = self._needs(ref, argument.name)
        if argument.name == "since":
            return _completion(span for span in SPANS if span.startswith(argument.value))
        tool, source = self._sources[argument.name]
        if not self._offer.has(tool):
            return _completion(())
        others = dict((context.arguments if context else None) or {})
        return _completion(await source(Blank(argument.value, others, needs)))

    def _needs(self, ref: PromptReference | ResourceTemplateReference, argument: str) -> type[Service]:
        if isinstance(ref, PromptReference):
            recipe = recipe_of(self._offer, ref.name)
            if argument in (taken.name for taken in recipe.takes):
                return spec_of(RUN_TESTS).needs if RUN_TESTS in recipe.needs else Service
        else:
            shelf = next((shelf for shelf in SHELVES if shelf.uri == ref.uri), None)
            if shelf is None:
                raise MCPError(INVALID_PARAMS, "There is no such resource template: see resources/templates/list.")
            self._offer.require(shelf.tool)
            if argument in shelf.template.variable_names:
                return spec_of(shelf.tool).needs
        raise MCPError(INVALID_PARAMS, "It has no argument of that name.")

    async def _handles(self, blank: Blank) -> Iterable[str]:
        """Of runs, those that failed first, then by age."""
        runs = await self._runs(blank)
        failed = [run for run in runs if run.outcome in ("fail", "error")]
        ids = [run.run_id for run in (*failed, *runs)]
        return (run_id for run_id in ids if run_id.startswith(blank.text))

    async def _tests(self, blank: Blank) -> Iterable[str]:
        return _beginning((run.test for run in await self._runs(blank)), blank.text)

    async def _serial_numbers(self, blank: Blank) -> Iterable[str]:
        return _beginning((run.unit for run in await self._runs(blank)), blank.text)

    async def _nodes(self, blank: Blank) -> Iterable[str]:
        """Free ones first."""

        async def ask() -> list[str]:
            listed: NodeList = await self._offer.call(LIST_NODES)
            return [node.node_id for node in sorted(listed.nodes, key=lambda node: node.state != "free")]

        ids = await self._soon(LIST_NODES, ask, [])
        return (node_id for node_id in ids if node_id.startswith(blank.text))

    async def _artifacts(self, blank: Blank) -> Iterable[str]:
        """Of the run whose handle was filled in before."""
        handle = blank.others.get("handle", "")

        async def ask() -> list[str]:
            keeper, native = self._offer.lab.owner(handle, ArtifactKeeper)
            return [file.name for file in await keeper.list_artifacts(native)]

        names = await self._soon((GET_ARTIFACT, handle), ask, []) if handle else []
        return _beginning(names, blank.text)

    async def _runs(self, blank: Blank) -> list[Run]:
        """The newest runs, failed ones among them even if they are few, of the services that can be meant."""
        services = self._offer.lab.services.values()
        able = [s for s in services if isinstance(s, blank.needs) and isinstance(s, RunArchive)]
        meant = [s for s in able if blank.text.startswith(s.handle(""))] or able
        asked = [self._runs_of(archive, outcome) for archive in meant for outcome in ("fail", "")]
        runs = [run for answer in await asyncio.gather(*asked) for run in answer]
        return sorted(runs, key=lambda run: run.started_at, reverse=True)

    async def _runs_of(self, archive: RunArchive, outcome: str) -> Sequence[Run]:
        async def ask() -> list[Run]:
            query = RunQuery(outcome=outcome, since=datetime.now(UTC) - RECENT)
            return (await archive.list_runs(query, RECENT_RUNS)).runs

        return await self._soon((archive.name, outcome), ask, [])

    async def _soon(self, key: object, ask: Callable[[], Awaitable[list[T]]], otherwise: list[T]) -> list[T]:
        """The answer, or one some seconds old; `otherwise` when it fails or takes too long."""
        now, lab = asyncio.get_running_loop().time(), self._offer.lab
        kept = {k: (until, value) for k, (until, value) in self._kept.get(lab, {}).items() if until > now}
        self._kept[lab] = kept
        if key in kept:
            return kept[key][1]  # pyright: ignore[reportReturnType]
        answer = otherwise
        with suppress(LabError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await ask()
        self._kept[lab][key] = (now + KEPT_SECONDS, answer)
        return answer


def _beginning(values: Iterable[str], text: str) -> Iterable[str]:
    """Those that begin so in any case, and can stand in one line."""
    wanted = text.casefold()
    shown = (plain(value) for value in values)
    one_line = (value for value in shown if len(value) <= MOST_CHARS and value.isprintable())
    return (value for value in one_line if value.casefold().startswith(wanted))


def _completion(values: Iterable[str]) -> Completion:
    found = [value for value in dict.fromkeys(values) if value]
    return Completion(values=found[:MOST_VALUES], total=len(found), has_more=len(found) > MOST_VALUES)
