"""Completes the arguments of resource templates and prompts as the user types.

A completion is asked at every key press, so it is cheap: the newest runs of a week, all services at once, kept for some
seconds. A service that does not answer soon gives no values, and never an error.
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

from testlab_mcp.protocol.availability import Availability, find_tool
from testlab_mcp.protocol.prompts import MAX_CHARS, find_prompt
from testlab_mcp.protocol.resources import TEMPLATES
from testlab_tools.capabilities import ArtifactKeeper, RunArchive, Service
from testlab_tools.errors import LabError
from testlab_tools.fanout import gather_all
from testlab_tools.lab import Lab
from testlab_tools.models.lab import NodeList, Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.registry import Needs
from testlab_tools.untrusted import sanitize

ANSWER_SECONDS = 3.0
KEPT_SECONDS = 10.0
MAX_VALUES = 100
"""As many as the protocol lets one answer have."""

RECENT_RUNS = 50
RECENT = timedelta(days=7)
SPANS = ("24h", "12h", "48h", "7d", "14d")
T = TypeVar("T")


@dataclass(frozen=True)
class CompletionRequest:
    """What is to be completed: its beginning, what was filled in elsewhere, and what a service must be able to do."""

    text: str
    others: dict[str, str]
    needs: Needs


class Completer:
    """Answers `completion/complete`."""

    def __init__(self, availability: Callable[[], Availability]) -> None:
        """`availability` returns that of the caller of the request at hand."""
        self._current = availability
        self._kept: WeakKeyDictionary[Lab, dict[object, tuple[float, object]]] = WeakKeyDictionary()
        self._sources: dict[str, tuple[str, Callable[[CompletionRequest], Awaitable[Iterable[str]]]]] = {
            "handle": ("list_runs", self._find_handles),
            "run_id": ("list_runs", self._find_handles),
            "test": ("list_runs", self._find_tests),
            "serial_number": ("list_runs", self._find_serial_numbers),
            "node_id": ("list_nodes", self._find_nodes),
            "name": ("get_artifact", self._find_artifacts),
        }

    @property
    def _availability(self) -> Availability:
        return self._current()

    async def __call__(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        """Raises MCPError for a template, prompt or argument that there is not, or that is not allowed."""
        needs = self._find_capability(ref, argument.name)
        if argument.name == "since":
            return _make_completion(span for span in SPANS if span.startswith(argument.value))
        tool, source = self._sources[argument.name]
        if not self._availability.has(tool):
            return _make_completion(())
        others = dict((context.arguments if context else None) or {})
        return _make_completion(await source(CompletionRequest(argument.value, others, needs)))

    def _find_capability(self, ref: PromptReference | ResourceTemplateReference, argument: str) -> Needs:
        if isinstance(ref, PromptReference):
            prompt = find_prompt(self._availability, ref.name)
            if argument in (taken.name for taken in prompt.takes):
                return find_tool("run_tests").needs if "run_tests" in prompt.needs else Service
        else:
            template = next((template for template in TEMPLATES if template.uri == ref.uri), None)
            if template is None:
                raise MCPError(INVALID_PARAMS, "There is no such resource template: see resources/templates/list.")
            self._availability.require(template.tool)
            if argument in template.parsed.variable_names:
                return find_tool(template.tool).needs
        raise MCPError(INVALID_PARAMS, "It has no argument of that name.")

    async def _find_handles(self, request: CompletionRequest) -> Iterable[str]:
        """Of runs, those that failed first, then by age."""
        runs = await self._recent_runs(request)
        failed = [run for run in runs if run.outcome in ("fail", "error")]
        ids = [run.run_id for run in (*failed, *runs)]
        return (run_id for run_id in ids if run_id.startswith(request.text))

    async def _find_tests(self, request: CompletionRequest) -> Iterable[str]:
        return _filter_by_prefix((run.test for run in await self._recent_runs(request)), request.text)

    async def _find_serial_numbers(self, request: CompletionRequest) -> Iterable[str]:
        return _filter_by_prefix((run.unit for run in await self._recent_runs(request)), request.text)

    async def _find_nodes(self, request: CompletionRequest) -> Iterable[str]:
        """Free ones first."""

        async def ask() -> list[str]:
            listed: NodeList = await self._availability.call("list_nodes")
            return [node.node_id for node in sorted(listed.nodes, key=lambda node: node.state != "free")]

        ids = await self._ask_briefly("list_nodes", ask, [])
        return (node_id for node_id in ids if node_id.startswith(request.text))

    async def _find_artifacts(self, request: CompletionRequest) -> Iterable[str]:
        """Of the run whose handle was filled in before."""
        handle = request.others.get("handle", "")

        async def ask() -> list[str]:
            keeper, native = self._availability.lab.owner(handle, ArtifactKeeper)
            return [file.name for file in await keeper.list_artifacts(native)]

        names = await self._ask_briefly(("get_artifact", handle), ask, []) if handle else []
        return _filter_by_prefix(names, request.text)

    async def _recent_runs(self, request: CompletionRequest) -> list[Run]:
        """The newest runs, failed ones among them even if they are few, of the services that can be meant."""
        services = self._availability.lab.services.values()
        able = [s for s in services if isinstance(s, request.needs) and isinstance(s, RunArchive)]
        meant = [s for s in able if request.text.startswith(s.handle(""))] or able
        asked = [self._list_runs(archive, outcome) for archive in meant for outcome in ("fail", "")]
        runs = [run for answer in await gather_all(*asked) for run in answer]
        return sorted(runs, key=lambda run: run.started_at, reverse=True)

    async def _list_runs(self, archive: RunArchive, outcome: str) -> Sequence[Run]:
        async def ask() -> list[Run]:
            query = RunQuery(outcome=outcome, since=datetime.now(UTC) - RECENT)
            return (await archive.list_runs(query, RECENT_RUNS)).runs

        return await self._ask_briefly((archive.name, outcome), ask, [])

    async def _ask_briefly(self, key: object, ask: Callable[[], Awaitable[list[T]]], otherwise: list[T]) -> list[T]:
        """The answer, or one some seconds old; `otherwise` when it fails or takes too long."""
        now, lab = asyncio.get_running_loop().time(), self._availability.lab
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


def _filter_by_prefix(values: Iterable[str], text: str) -> Iterable[str]:
    """Those that begin so in any case, and can stand in one line."""
    wanted = text.casefold()
    shown = (sanitize(value) for value in values)
    one_line = (value for value in shown if len(value) <= MAX_CHARS and value.isprintable())
    return (value for value in one_line if value.casefold().startswith(wanted))


def _make_completion(values: Iterable[str]) -> Completion:
    found = [value for value in dict.fromkeys(values) if value]
    return Completion(values=found[:MAX_VALUES], total=len(found), has_more=len(found) > MAX_VALUES)
