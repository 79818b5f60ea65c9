"""Completes the arguments of resource templates and prompts as the user types.

A completion is asked at every key press, so it is cheap: the newest runs of a week, all services at once, kept for some
seconds. A service that does not answer soon gives no values, and never an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeVar
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

from testlab_mcp.protocol.availability import Availability, current_availability, find_tool
from testlab_mcp.protocol.prompts import MAX_CHARS, find_prompt
from testlab_mcp.protocol.resources import TEMPLATES
from testlab_tools.capabilities import ArtifactKeeper, RunArchive, Service
from testlab_tools.errors import LabError
from testlab_tools.fanout import gather_all
from testlab_tools.lab import Lab
from testlab_tools.models.lab import Run
from testlab_tools.models.nodes import NodeList
from testlab_tools.models.requests import RunQuery
from testlab_tools.registry import Needs
from testlab_tools.tools.watches import list_watches
from testlab_tools.untrusted import sanitize

if TYPE_CHECKING:
    from testlab_tools.models.campaigns import CampaignList

ANSWER_SECONDS = 3.0
KEPT_SECONDS = 10.0
MAX_VALUES = 100
"""As many as the protocol lets one answer have."""

LISTED_BY = {"node_id": "list_nodes", "name": "get_artifact", "campaign_id": "list_campaigns", "watch_id": "watch"}
"""The tool by whose right an argument's values are told; list_runs for all others."""
NEWEST = 50
"""Runs of a service, campaigns or watches."""
RECENT = timedelta(days=7)
SPANS = ("24h", "12h", "48h", "7d", "14d")
T = TypeVar("T")


class Completer:
    """Answers `completion/complete` with what the caller of the request has."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Lab, dict[object, tuple[float, object]]] = WeakKeyDictionary()

    async def __call__(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        """Raises MCPError for a template, prompt or argument that there is not, or that is not allowed."""
        needs = _find_capability(ref, argument.name)
        others = (context.arguments if context else None) or {}
        return _make_completion(await self._find_values(argument.name, argument.value, others, needs))

    async def _find_values(self, argument: str, text: str, others: Mapping[str, str], needs: Needs) -> Iterable[str]:
        """The values of an argument that begin with `text`; `others` are what was filled in elsewhere, and `needs` is
        what a service must be able to do."""
        available = current_availability()
        if argument == "since":
            return (span for span in SPANS if span.startswith(text))
        if not available.has(LISTED_BY.get(argument, "list_runs")):
            return ()
        match argument:
            case "node_id" | "campaign_id" | "watch_id":
                ids = await self._find_ids(available, argument)
                return (one for one in ids if one.startswith(text))
            case "name":
                return _filter_by_prefix(await self._find_artifacts(available, others.get("handle", "")), text)
            case _:
                runs = await self._recent_runs(available, text, needs)
        if argument == "job_uid":
            return (run.job_uid for run in runs if run.job_uid.startswith(text))
        if argument in ("test", "serial_number"):
            return _filter_by_prefix((run.test if argument == "test" else run.unit for run in runs), text)
        failed = [run for run in runs if run.outcome in ("fail", "error")]
        return (run.run_id for run in (*failed, *runs) if run.run_id.startswith(text))

    async def _find_ids(
        self, available: Availability, argument: Literal["node_id", "campaign_id", "watch_id"]
    ) -> list[str]:
        """Nodes, the free ones first; campaigns or watches, the newest first."""

        async def ask() -> list[str]:
            match argument:
                case "node_id":
                    nodes: NodeList = await available.call("list_nodes", limit=1000)
                    return [node.node_id for node in sorted(nodes.nodes, key=lambda node: node.state != "free")]
                case "campaign_id":
                    listed: CampaignList = await available.call("list_campaigns", limit=NEWEST)
                    return [campaign.campaign_id for campaign in listed.campaigns]
                case "watch_id":
                    return [watch.watch_id for watch in await list_watches(available.scope, NEWEST)]

        # Tokens of one caller may differ in access, and share its lab.
        return await self._ask_briefly(available.lab, (argument, available.scope.access), ask)

    async def _find_artifacts(self, available: Availability, handle: str) -> list[str]:
        """The files of a run."""

        async def ask() -> list[str]:
            keeper, native = available.lab.owner(handle, ArtifactKeeper)
            return [file.name for file in await keeper.list_artifacts(native)]

        return await self._ask_briefly(available.lab, ("get_artifact", handle), ask) if handle else []

    async def _recent_runs(self, available: Availability, text: str, needs: Needs) -> list[Run]:
        """The newest runs, failed ones among them even if they are few, of the services that can be meant."""
        services = available.lab.services.values()
        able = [s for s in services if isinstance(s, needs) and isinstance(s, RunArchive)]
        meant = [s for s in able if text.startswith(s.handle(""))] or able
        asked = [self._list_runs(available.lab, archive, outcome) for archive in meant for outcome in ("fail", "")]
        runs = [run for answer in await gather_all(*asked) for run in answer]
        return sorted(runs, key=lambda run: run.started_at, reverse=True)

    async def _list_runs(self, lab: Lab, archive: RunArchive, outcome: str) -> list[Run]:
        async def ask() -> list[Run]:
            query = RunQuery(outcome=outcome, since=datetime.now(UTC) - RECENT)
            return (await archive.list_runs(query, NEWEST)).runs

        return await self._ask_briefly(lab, (archive.name, outcome), ask)

    async def _ask_briefly(self, lab: Lab, key: object, ask: Callable[[], Awaitable[list[T]]]) -> list[T]:
        """The answer, or an answer some seconds old; empty when it fails or takes too long."""
        now = asyncio.get_running_loop().time()
        kept = {k: (until, value) for k, (until, value) in self._kept.get(lab, {}).items() if until > now}
        self._kept[lab] = kept
        if key in kept:
            return kept[key][1]  # pyright: ignore[reportReturnType]
        answer: list[T] = []
        with suppress(LabError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await ask()
        self._kept[lab][key] = (now + KEPT_SECONDS, answer)
        return answer


def _find_capability(ref: PromptReference | ResourceTemplateReference, argument: str) -> Needs:
    """What a service must be able to do for the argument. Raises MCPError when there is no such argument."""
    available = current_availability()
    if isinstance(ref, PromptReference):
        prompt = find_prompt(available, ref.name)
        if argument in (taken.name for taken in prompt.takes):
            return find_tool("run_tests").needs if "run_tests" in prompt.needs else Service
    else:
        template = next((template for template in TEMPLATES if template.uri == ref.uri), None)
        if template is None:
            raise MCPError(INVALID_PARAMS, "There is no such resource template: see resources/templates/list.")
        available.require(template.tool)
        if argument in template.parsed.variable_names:
            return find_tool(template.tool).needs
    raise MCPError(INVALID_PARAMS, "It has no argument of that name.")


def _filter_by_prefix(values: Iterable[str], text: str) -> Iterable[str]:
    """The values that begin with `text`, ignoring case, and fit in one line."""
    wanted = text.casefold()
    shown = (sanitize(value) for value in values)
    one_line = (value for value in shown if len(value) <= MAX_CHARS and value.isprintable())
    return (value for value in one_line if value.casefold().startswith(wanted))


def _make_completion(values: Iterable[str]) -> Completion:
    found = [value for value in dict.fromkeys(values) if value]
    return Completion(values=found[:MAX_VALUES], total=len(found), has_more=len(found) > MAX_VALUES)
