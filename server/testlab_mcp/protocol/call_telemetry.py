"""A span for each request of a client, and the measures of its calls: in place of the SDK's own middleware, whose spans
carry names and messages as the client and the lab wrote them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from mcp_types.methods import SPEC_CLIENT_METHODS
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span

from testlab_mcp.protocol.admission import LISTEN
from testlab_tools.telemetry import CALL_DURATION, CALLS, ERRORS, TRACER, CallFacts, collect_facts

METHODS = SPEC_CLIENT_METHODS | {"skills/list", "skills/get", "tasks/get", "tasks/update", "tasks/cancel"}


class CallTelemetry:
    """Traces and counts what is asked. `tools` are the names that may stand in a span."""

    def __init__(self, tools: Collection[str]) -> None:
        self._tools = frozenset(tools)

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Answer a message, measured if it is a request that ends by itself."""
        if ctx.request_id is None or ctx.method == LISTEN:
            return await call_next(ctx)
        method = ctx.method if ctx.method in METHODS else "unknown"
        name = (ctx.params or {}).get("name") if method == "tools/call" else None
        tool = name if isinstance(name, str) and name in self._tools else "unknown" if method == "tools/call" else ""
        attributes = {"mcp.method.name": method, "mcp.protocol.version": ctx.protocol_version}
        if tool:
            attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        begun = time.monotonic()
        with (
            collect_facts() as facts,
            TRACER.start_as_current_span(
                f"{method} {tool}".strip(),
                _extract_context(ctx.meta),
                SpanKind.SERVER,
                attributes,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            try:
                result = await call_next(ctx)
                if _is_error(result) and facts.outcome in ("", "ok"):
                    facts.outcome, facts.error = "refused", "Refused"
                return result
            except MCPError as error:
                facts.outcome, facts.error = facts.outcome or "error", facts.error or str(error.error.code)
                raise
            except BaseException as error:
                facts.outcome, facts.error = facts.outcome or "error", facts.error or type(error).__name__
                raise
            finally:
                _describe(span, facts)
                if tool:
                    _count(tool, facts, time.monotonic() - begun)


def _describe(span: Span, facts: CallFacts) -> None:
    span.set_attribute("testlab.outcome", facts.outcome or "ok")
    if facts.services:
        span.set_attribute("testlab.services", sorted(facts.services))
    if facts.error:
        span.set_attribute("error.type", facts.error)
        span.set_status(StatusCode.ERROR)


def _count(tool: str, facts: CallFacts, seconds: float) -> None:
    CALLS.add(1, {"tool": tool, "outcome": facts.outcome or "ok"})
    CALL_DURATION.record(seconds, {"tool": tool})
    if facts.error:
        ERRORS.add(1, {"tool": tool, "kind": facts.error})


def _is_error(result: HandlerResult) -> bool:
    if isinstance(result, Mapping):
        return result.get("isError") is True
    return isinstance(result, CallToolResult) and bool(result.is_error)


def _extract_context(meta: Mapping[str, Any] | None) -> Context | None:
    """The client's trace, as W3C has it in `_meta`; None without one."""
    try:
        context = extract(meta) if meta else None
    except (ValueError, TypeError):
        return None
    return context if context and get_current_span(context).get_span_context().is_valid else None
