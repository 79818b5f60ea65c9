"""A tool of the catalog as the SDK holds it, with this server's schema, validation, results and refusals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool, ToolManager
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import PrivateAttr
from pydantic_core import to_json

from testlab_mcp.access.guard import RequestGuard
from testlab_mcp.audit.log import AuditedCall, AuditLogger
from testlab_mcp.protocol.confirmation import ANSWERED, can_ask, confirm_with_person
from testlab_mcp.protocol.icons import draw_icon
from testlab_mcp.protocol.results import limit_error, limit_result, to_error_result, to_result
from testlab_mcp.protocol.schema import Arguments, build_output_schema, read_arguments
from testlab_tools.deadline import Deadline
from testlab_tools.errors import Conflict, LabError
from testlab_tools.registry import Call, Picture, Question, ToolSpec

logger = logging.getLogger("testlab_mcp")

MARGIN = 10 / 9
"""Of the longest wait, what a call may take with the reads around it: 50 s of 45. Clients give up after 5 to 300 s."""
MAX_QUESTIONS = 4
ALLOWED_S: ContextVar[float] = ContextVar("allowed_s", default=0.0)
"""What a call may take that nobody waits for; 0 for the longest wait."""


class LabTool(Tool):
    """A tool of the catalog, bound to a lab by its guard, or to be listed only."""

    _spec: ToolSpec = PrivateAttr()
    _guard: RequestGuard | None = PrivateAttr()
    _audit: AuditLogger = PrivateAttr()
    _arguments: Arguments = PrivateAttr()

    @classmethod
    def of(cls, spec: ToolSpec, guard: RequestGuard | None = None, audit: AuditLogger | None = None) -> LabTool:
        """The tool, bound to a lab by its guard; without a guard it can be listed, and not be called."""
        arguments = read_arguments(spec)
        made = cls(
            fn=spec.handler,
            name=spec.name,
            title=spec.title,
            context_kwarg=None,
            description=spec.description,
            parameters=arguments.schema,
            fn_metadata=FuncMetadata(arg_model=ArgModelBase),
            is_async=True,
            annotations=ToolAnnotations(
                read_only_hint=spec.hints.read_only,
                destructive_hint=spec.hints.destructive,
                # Of what only looks it says nothing (MCP, ToolAnnotations), and costs seven tokens.
                idempotent_hint=None if spec.hints.read_only else spec.hints.idempotent,
                open_world_hint=spec.hints.open_world,
            ),
            icons=draw_icon(spec.toolset),
        )
        made._spec, made._guard, made._audit, made._arguments = spec, guard, audit or AuditLogger(), arguments
        return made

    @cached_property
    def output_schema(self) -> dict[str, Any] | None:
        """None for images, whose answer has no structure."""
        returns = self._spec.returns
        return None if issubclass(returns, Picture) else build_output_schema(returns)

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Validate, call the handler, shape the answer. An error of the lab's own is an answer, not an exception."""
        assert self._guard is not None, "it is only listed"
        async with self._guard.enter(context.request_context.request, context.report_progress) as call:
            if seconds := ALLOWED_S.get():
                call = replace(call, deadline=Deadline(seconds))
            return await self._answer(call, arguments, context)

    async def read(self, call: Call, arguments: dict[str, Any]) -> CallToolResult:
        """The answer of a tool that only looks, not audited: to what another call began. Raises LabError and
        TimeoutError."""
        assert self._spec.hints.read_only
        valid = self._arguments.validate(arguments)
        async with asyncio.timeout(call.deadline.seconds * MARGIN):
            value = await self._spec.handler(call, **valid)
        return to_result(limit_result(value, call, valid), call.pictures)

    async def _answer(self, call: Call, arguments: dict[str, Any], context: Context[Any, Any]) -> Any:
        arguments = self._arguments.repair(arguments)
        try:
            async with self._audit.call(self._spec, arguments, call.caller, context.session) as audited:
                return await self._execute(call, arguments, context, audited)
        except LabError as error:
            return to_error_result(self.name, limit_error(error, call, arguments))
        except TimeoutError:
            return to_error_result(self.name, _timeout_error(self._spec, call.deadline.seconds * MARGIN))
        except (MCPError, ToolError):
            raise
        except Exception:
            logger.exception("%s failed in a way nobody foresaw", self.name)
            unforeseen = LabError("Something went wrong inside this server", "", "Its log (stderr) has the details.")
            return to_error_result(self.name, unforeseen)

    async def _execute(
        self, call: Call, arguments: dict[str, Any], context: Context[Any, Any], audited: AuditedCall
    ) -> CallToolResult | InputRequiredResult:
        valid = self._arguments.validate(arguments)
        agreed = await self._confirm(call, valid, context, audited)
        if isinstance(agreed, InputRequiredResult):
            audited.await_confirmation()
            return agreed
        if agreed is not None:  # a person may have taken any time to answer
            call = replace(call, agreed=agreed, deadline=Deadline(call.deadline.seconds))
        if not self._spec.hints.read_only:
            call = replace(call, digest=self._digest(call, valid))
        await audited.start()
        async with asyncio.timeout(call.deadline.seconds * MARGIN):
            value = await self._spec.handler(call, **_limit_wait(call, valid))
        result = to_result(limit_result(value, call, valid), call.pictures)
        audited.set_result(result.structured_content or {})
        return result

    def _digest(self, call: Call, valid: dict[str, Any]) -> str:
        said = to_json([call.caller, self.name, sorted(valid.items())], inf_nan_mode="constants")
        return sha256(said).hexdigest()

    async def _confirm(
        self, call: Call, valid: dict[str, Any], context: Context[Any, Any], audited: AuditedCall
    ) -> InputRequiredResult | Question | None:
        """The question that a person has agreed to, None where there was nothing to ask; or a result to return when the
        client has to ask first. A question is asked again until its facts are what they were when the person agreed."""
        if self._spec.asks is None:
            return None
        ANSWERED.spend(context.request_state)
        before: Question | None = None
        for _ in range(MAX_QUESTIONS):
            audited.stage = "lab"
            question = await self._spec.asks(call, **valid)
            if question is None or question == before:
                return question
            audited.stage = "person" if can_ask(context) else "confirm"
            confirm = str(valid["confirm"]) if self._guard and self._guard.policy.unasked == "confirm" else None
            if (pending := await confirm_with_person(question, confirm, context)) is not None:
                return pending
            if not can_ask(context):
                return question
            before = question
        raise Conflict(
            "What it would change keeps changing",
            "Each time a person had agreed, it was another",
            "Look at it again, and call when it has come to rest.",
        )


class LabTools(ToolManager):
    """The exposed tools, each made at its first use: a call needs the schema of one, and of no other."""

    def __init__(self, specs: Iterable[ToolSpec], make: Callable[[ToolSpec], LabTool]) -> None:
        super().__init__()
        self._specs, self._make = {spec.name: spec for spec in specs}, make

    def get_tool(self, name: str) -> Tool | None:
        """The tool of that name; None where none is exposed."""
        if name not in self._tools and name in self._specs:
            self._tools[name] = self._make(self._specs[name])
        return self._tools.get(name)

    def list_tools(self) -> list[Tool]:
        """All of them, in the order of the catalog."""
        return [tool for name in self._specs if (tool := self.get_tool(name)) is not None]


def _limit_wait(call: Call, valid: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with no wait longer than the config has it."""
    wait = valid.get("wait_seconds", 0)
    return valid if wait <= call.lab.longest_wait_s else {**valid, "wait_seconds": call.lab.longest_wait_s}


def _timeout_error(spec: ToolSpec, seconds: float) -> LabError:
    what = f"It took longer than {seconds:g} s, and was given up"
    if spec.hints.read_only:
        return LabError(what, "", "Ask for less: a shorter span, a smaller limit, one service.")
    return LabError(what, "", "What it was to change may or may not have happened: look before you try again.")
