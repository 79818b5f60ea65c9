"""Writes the audit: of each call an intent before it changes anything, and an outcome after.

The line with `event` "intent" is on disk before a tool that changes things runs; that with `event` "outcome" has the
same `call`. A call that is refused earlier has an outcome only; a call that waits for a person's answer has neither.
Many refusals of one caller are a few lines and a count.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Literal, cast
from uuid import uuid4

import anyio
from mcp.server.session import ServerSession

from testlab_mcp.audit.chain import AuditSink, BrokenChain, Record
from testlab_mcp.audit.record import handles_in, redact, redact_refused, shorten, target_of
from testlab_tools.errors import BadInput, LabError, Refused
from testlab_tools.http.trace import Answer, Trace, trace_answers
from testlab_tools.registry import ToolSpec
from testlab_tools.telemetry import note_outcome

logger = logging.getLogger("testlab_mcp")

MAX_LINES = 10
"""Refusals of one tool to one caller that get a line within `SPAN_S`; the others are counted."""
SPAN_S = 60.0

Stage = Literal["policy", "input", "confirm", "person", "lab"]
"""What a refusal would come from: this server's settings, the check of the arguments, a missing `confirm`, the person
asked, or the tool and its services."""


class AuditedCall:
    """A call of a tool, as a context: its outcome is what it raises.

    >>> async with audit.call(spec, arguments, who, session) as call:
    ...     await call.start()
    ...     call.set_result(answer)
    """

    stage: Stage = "input"

    def __init__(
        self,
        write: Callable[[Record], Awaitable[None]] | None,
        spec: ToolSpec,
        arguments: Mapping[str, Any],
        who: str,
        client: Mapping[str, str],
        reads: bool = False,
    ) -> None:
        self._write = write
        self._spec = spec
        self._arguments = arguments
        self._caller = {"who": who, "client": client}
        self._always = reads or not spec.hints.read_only
        self._begun = time.monotonic()
        self._call = ""
        self._answer: Mapping[str, Any] | None = None
        self._trace = Trace()
        self._silent = write is None
        self._waiting = False
        self._tracing = ExitStack()

    async def start(self) -> None:
        """Write the intent. Raises Refused when that fails: the change must not be made then."""
        self.stage = "lab"
        if self._write is None:
            return
        self._trace = self._tracing.enter_context(trace_answers())
        if self._spec.hints.read_only:
            return
        try:
            await self._write({"event": "intent", **self._describe()})
        except Exception as error:  # noqa: BLE001 - a change without an intent is not made, whatever the reason
            self._silent = True
            raise Refused(
                "The audit cannot be written, so nothing was changed",
                failure_reason(error),
                "The operator mends [audit] in the config; `testlab-mcp audit verify` tells whether its file is whole.",
            ) from None

    def set_result(self, answer: Mapping[str, Any]) -> None:
        """Keep the tool's answer, as the client gets it."""
        self._answer = answer

    def await_confirmation(self) -> None:
        """Write nothing: a person has to answer first."""
        self._silent = self._waiting = True

    async def __aenter__(self) -> AuditedCall:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None):
        self._tracing.close()
        ended = self._outcome(error)
        note_outcome("asked" if self._waiting else str(ended["outcome"]), str(ended.get("error", "")))
        if self._silent or self._write is None:
            return
        if self._always or isinstance(error, Refused):
            facts = self._describe(isinstance(error, Refused | BadInput))
            await self._write({"event": "outcome", **facts, **ended, **self._upstream()})

    def _describe(self, refused: bool = False) -> dict[str, object]:
        self._call = self._call or uuid4().hex[:16]
        return {
            "call": self._call,
            **self._caller,
            "tool": self._spec.name,
            "target": target_of(self._arguments),
            "arguments": redact_refused(self._arguments) if refused else redact(self._arguments),
        }

    def _outcome(self, error: BaseException | None) -> dict[str, object]:
        """How the call ended, without any error's text."""
        if error is None:
            answer = self._answer or {}
            made = [] if self._spec.hints.read_only else handles_in(answer)
            return {"outcome": "queued" if answer.get("queued") else "ok", **({"made": made} if made else {})}
        name = type(error).__name__ if isinstance(error, LabError) else _OTHERS.get(type(error).__name__, "Unforeseen")
        if isinstance(error, Refused | BadInput):
            return {"outcome": "refused", "by": self.stage, "error": name}
        return {"outcome": "error", "error": name}

    def _upstream(self) -> dict[str, object]:
        trace = self._trace
        requests: dict[str, object] = {
            "changes": [_answer_entry(answer) for answer in trace.changes],
            "reads": [_answer_entry(answer) for answer in trace.reads if answer.request_id],
            "refs": trace.refs,
            "left_out": trace.left_out,
        }
        known = {key: value for key, value in requests.items() if value}
        return {**({"upstream": known} if known else {}), "duration_ms": round((time.monotonic() - self._begun) * 1000)}


_OTHERS = {"TimeoutError": "TooLong", "CancelledError": "Cancelled"}


def failure_reason(error: Exception) -> str:
    """Why a line could not be written, without a path."""
    if isinstance(error, OSError):
        return error.strerror or "The file cannot be used"
    return str(error) if isinstance(error, BrokenChain) else type(error).__name__


def _answer_entry(answer: Answer) -> dict[str, object]:
    entry: dict[str, object] = {"service": answer.service, "method": answer.method, "status": answer.status}
    return entry | ({"id": answer.request_id} if answer.request_id else {})


@dataclass
class _Span:
    begun: float
    written: int = 0
    left_out: int = 0
    end: asyncio.Task[None] | None = None


class FloodLimit:
    """Calls `write` with the caller, the tool and the number of suppressed refusals when their span is over."""

    def __init__(self, write: Callable[[str, str, int], Awaitable[None]]) -> None:
        self._write = write
        self._spans: dict[tuple[str, str], _Span] = {}

    def suppress(self, who: str, tool: str) -> bool:
        """Count a refusal instead of writing it, and return True, when there were too many."""
        now = time.monotonic()
        for key in [key for key, span in self._spans.items() if now - span.begun > SPAN_S and span.end is None]:
            del self._spans[key]
        span = self._spans.setdefault((who, tool), _Span(now))
        if span.written < MAX_LINES:
            span.written += 1
            return False
        span.left_out += 1
        if span.end is None:
            span.end = asyncio.ensure_future(self._report_later(who, tool, span.begun + SPAN_S - now))
        return True

    async def aclose(self) -> None:
        """Write the counts so far."""
        for (who, tool), span in list(self._spans.items()):
            if span.end is not None:
                span.end.cancel()
                await asyncio.gather(span.end, return_exceptions=True)
                await self._report(who, tool)

    async def _report_later(self, who: str, tool: str, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
        await self._report(who, tool)

    async def _report(self, who: str, tool: str) -> None:
        if span := self._spans.pop((who, tool), None):
            await self._write(who, tool, span.left_out)


class AuditLogger:
    """Writes an audit. `open_sink` is called at the first line, and None without an audit; `reads` includes calls that
    change nothing."""

    def __init__(self, open_sink: Callable[[], AuditSink] | None = None, reads: bool = False) -> None:
        self._open_sink = cache(open_sink) if open_sink else None
        self._reads = reads
        self._floods = FloodLimit(self._write_count)

    def call(self, spec: ToolSpec, arguments: Mapping[str, Any], who: str, session: ServerSession) -> AuditedCall:
        """The context of a call by the caller `who`."""
        if self._open_sink is None:
            return AuditedCall(None, spec, arguments, "", {})
        info = session.client_params.client_info if session.client_params else None
        client = {"name": shorten(info.name), "version": shorten(info.version)} if info else {}
        return AuditedCall(self._write, spec, arguments, who, client, self._reads)

    async def write_refusal(self, spec: ToolSpec, arguments: object, who: str, session: ServerSession) -> None:
        """Write a call that the policy refused, or only count it; its arguments are as received."""
        if self._open_sink is None or self._floods.suppress(who, spec.name):
            return
        given: Mapping[str, Any] = cast(Mapping[str, Any], arguments) if isinstance(arguments, Mapping) else {}
        call = self.call(spec, given, who, session)
        call.stage = "policy"
        with contextlib.suppress(Refused):
            async with call:
                raise Refused("Not allowed")

    async def write_ending(self, who: str, target: str, why: str) -> None:
        """Write that the server has ended a caller's reservation by itself."""
        if self._open_sink is not None:
            facts = {"who": who, "tool": "end_reservation", "target": target, "outcome": "ok"}
            ended = {**facts, "by": "server", "why": why}
            await self._write({"event": "outcome", "call": uuid4().hex[:16], **ended})

    async def aclose(self) -> None:
        """Write the refusals that are only counted so far."""
        await self._floods.aclose()

    async def _write_count(self, who: str, tool: str, times: int) -> None:
        outcome = {"who": who, "tool": tool, "outcome": "refused", "by": "policy", "error": "Refused", "times": times}
        await self._write({"event": "outcome", "call": uuid4().hex[:16], **outcome})

    async def _write(self, record: Record) -> None:
        """Write a line in a thread. A failure is logged; that of an intent is raised as well."""
        with anyio.CancelScope(shield=True):
            try:
                await anyio.to_thread.run_sync(self._append, record)
            except Exception as error:
                logger.error("a line of the audit could not be written: %s", failure_reason(error))
                if record["event"] == "intent":
                    raise

    def _append(self, record: Record) -> None:
        assert self._open_sink is not None, "nothing is written without an audit"
        self._open_sink().append(record)
