"""Looks at work that goes on elsewhere, for its tasks: once in a while, however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp.server.context import ServerRequestContext

from testlab_mcp.access.guard import RequestGuard
from testlab_mcp.protocol.results import limit_error, to_error_result
from testlab_mcp.protocol.tasks.long_calls import FOLLOWED
from testlab_mcp.protocol.tasks.record import TaskRecord
from testlab_mcp.protocol.tasks.wire import to_json
from testlab_tools.errors import BadInput, LabError, NotFound, Refused, Unsupported
from testlab_tools.fanout import ignore_error

if TYPE_CHECKING:
    from testlab_mcp.protocol.server import LabServer

FRESH_S = 2.0
"""How long a look is taken for what there is."""
MAX_LOOKS = 1000
LASTING = (NotFound, BadInput, Refused, Unsupported)
"""Errors that are the end of a task: asking again would bring them again."""


@dataclass(frozen=True)
class Look:
    """How far work is, in words; and the result, once it has ended."""

    message: str
    result: dict[str, Any] | None = None


class Followed:
    """The looks of a server."""

    def __init__(self, guard: RequestGuard, server: LabServer) -> None:
        self._guard = guard
        self._server = server
        self._looks: dict[tuple[str, str, str], tuple[float, asyncio.Task[Look]]] = {}

    async def look(self, ctx: ServerRequestContext[Any, Any], task: TaskRecord) -> Look:
        """How far the work of a task is."""
        now = asyncio.get_running_loop().time()
        key = (task.caller, task.tool, task.follows)
        begun, looking = self._looks.get(key, (0.0, None))
        if looking is None or (looking.done() and (now - begun > FRESH_S or looking.cancelled())):
            while len(self._looks) >= MAX_LOOKS:
                del self._looks[next(iter(self._looks))]
            looking = asyncio.create_task(self._ask(ctx, task))
            looking.add_done_callback(ignore_error)
            self._looks[key] = now, looking
        return await asyncio.shield(looking)

    async def _ask(self, ctx: ServerRequestContext[Any, Any], task: TaskRecord) -> Look:
        how = FOLLOWED[task.tool]
        tool, arguments = self._server.find_tool(how.tool), {how.key: task.follows}
        async with self._guard.enter(ctx.request, _ignore_progress) as call:
            try:
                result = await tool.read(call, arguments)
            except LASTING as error:
                return Look("", to_json(to_error_result(task.tool, limit_error(error, call, arguments))))
            except LabError as error:
                return Look(f"{task.follows}: how far it is cannot be asked now. {error.what}")
            except TimeoutError:
                return Look(f"{task.follows}: how far it is cannot be asked now.")
        answer: Mapping[str, Any] = result.structured_content or {}
        return Look(how.describe(answer), to_json(result) if how.has_ended(answer) else None)


async def _ignore_progress(done: float, total: float | None = None, words: str | None = None) -> None:
    """A look has no progress of its own."""
