"""One of our tools as the SDK holds it: our schema, our validation, our answers and refusals."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import PrivateAttr

from testlab_mcp.access.door import Door
from testlab_mcp.agreement import agreed, can_ask
from testlab_mcp.arguments import Arguments, output_schema
from testlab_mcp.audit.attempt import Attempt
from testlab_mcp.audit.clerk import Clerk
from testlab_mcp.results import error_result, result_of
from testlab_tools.errors import Conflict, LabError
from testlab_tools.registry import Call, Picture, Question, ToolSpec

logger = logging.getLogger("testlab_mcp")

CALL_SECONDS = 50
"""No call holds longer: most clients give up at 60. A wait of 45 and the reads around it fit in."""

MOST_QUESTIONS = 4
_LOOK = "Look at it again, and call when it has come to rest."


class LabTool(Tool):
    """One of our tools as the SDK holds it: our schema, our validation, our results."""

    _spec: ToolSpec = PrivateAttr()
    _door: Door | None = PrivateAttr()
    _clerk: Clerk = PrivateAttr()
    _arguments: Arguments = PrivateAttr()

    @classmethod
    def unbound(cls, spec: ToolSpec) -> LabTool:
        """The tool as it is listed; it cannot be called."""
        return cls.of(spec, None, Clerk())

    @classmethod
    def of(cls, spec: ToolSpec, door: Door | None, clerk: Clerk) -> LabTool:
        """The tool, bound to a lab by its door."""
        arguments = Arguments(spec)
        made = cls(
            fn=spec.handler,
            name=spec.name,
            title=None,
            context_kwarg=None,
            description=spec.description,
            parameters=arguments.schema,
            fn_metadata=FuncMetadata(arg_model=ArgModelBase),
            is_async=True,
            annotations=ToolAnnotations(
                read_only_hint=spec.hints.read_only,
                destructive_hint=spec.hints.destructive,
                idempotent_hint=spec.hints.idempotent,
                open_world_hint=spec.hints.open_world,
            ),
        )
        made._spec, made._door, made._clerk, made._arguments = spec, door, clerk, arguments
        return made

    @cached_property
    def output_schema(self) -> dict[str, Any] | None:
        """None for images, whose answer has no structure."""
        returns = self._spec.returns
        return None if issubclass(returns, Picture) else output_schema(returns)

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Validate, call the handler, shape the answer. An error of the lab's own is an answer, not an exception."""
        assert self._door is not None, "it is only listed"
        async with self._door.call(context) as call:
            return await self._answer(call, arguments, context)

    async def _answer(self, call: Call, arguments: dict[str, Any], context: Context[Any, Any]) -> Any:
        try:
            async with self._clerk.attempt(self._spec, arguments, call.caller, context.session) as attempt:
                return await self._carried_out(call, arguments, context, attempt)
        except LabError as error:
            return error_result(self.name, error)
        except TimeoutError:
            return error_result(self.name, _too_long(self._spec))
        except (MCPError, ToolError):
            raise
        except Exception:
            logger.exception("%s failed in a way nobody foresaw", self.name)
            unforeseen = LabError("Something went wrong inside this server", "", "Its log (stderr) has the details.")
            return error_result(self.name, unforeseen)

    async def _carried_out(
        self, call: Call, arguments: dict[str, Any], context: Context[Any, Any], attempt: Attempt
    ) -> CallToolResult | InputRequiredResult:
        valid = self._arguments.validate(arguments)
        if (pending := await self._asked(call, valid, context, attempt)) is not None:
            attempt.asks()
            return pending
        await attempt.begins()
        with anyio.fail_after(CALL_SECONDS):
            value = await self._spec.handler(call, **valid)
        result = result_of(value)
        attempt.gave(result.structured_content or {})
        return result

    async def _asked(
        self, call: Call, valid: dict[str, Any], context: Context[Any, Any], attempt: Attempt
    ) -> InputRequiredResult | None:
        """None once a person has agreed to what is so now: they may have taken their time to answer."""
        if self._spec.asks is None:
            return None
        before: Question | None = None
        for _ in range(MOST_QUESTIONS):
            attempt.stage = "lab"
            question = await self._spec.asks(call, **valid)
            if question is None or question == before:
                return None
            attempt.stage = "person" if can_ask(context) else "confirm"
            if (pending := await agreed(question, str(valid["confirm"]), context)) is not None:
                return pending
            if not can_ask(context):
                return None
            before = question
        raise Conflict("What it would change keeps changing", "Each time a person had agreed, it was another", _LOOK)


def _too_long(spec: ToolSpec) -> LabError:
    what = f"It took longer than {CALL_SECONDS} s, and was given up"
    if spec.hints.read_only:
        return LabError(what, "", "Ask for less: a shorter span, a smaller limit, one service.")
    return LabError(what, "", "What it was to change may or may not have happened: look before you try again.")
