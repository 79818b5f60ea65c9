"""One call on its way: written down before anything is changed, and again with what became of it.

A line with `event` "intent" is on disk before a tool that changes things goes ahead; the one with `event` "outcome"
bears the same `call`. A call that is refused before has an outcome alone. A person who has not answered yet is no
outcome: nothing has happened.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal
from uuid import uuid4

from testlab_tools.errors import BadInput, LabError, Refused
from testlab_tools.http.trace import Answered, Trace, traced
from testlab_tools.registry import ToolSpec

Stage = Literal["policy", "input", "confirm", "person", "lab"]
"""Who would refuse now: this server's settings, the check of the arguments, the lack of `confirm`, the person asked, or
the tool and the services behind it."""
Said = Mapping[str, object]


class Attempt:
    """A call of a tool, as a context: what it raises is what became of it.

    >>> async with clerk.attempt(spec, arguments, who, client) as attempt:
    ...     await attempt.begins()
    ...     attempt.gave(answer)
    """

    stage: Stage = "input"

    def __init__(
        self,
        write: Callable[[Said], Awaitable[None]] | None,
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
        self._tracing = ExitStack()

    async def begins(self) -> None:
        """Now it goes ahead. Raises Refused when a change cannot be written down: it is not made then."""
        self.stage = "lab"
        if self._write is None:
            return
        self._trace = self._tracing.enter_context(traced())
        if self._spec.hints.read_only:
            return
        try:
            await self._write({"event": "intent", **self._facts()})
        except Exception as error:  # noqa: BLE001 - whatever keeps it from being written
            self._silent = True
            raise Refused(
                "The audit cannot be written, so nothing was changed",
                why_not(error),
                "The operator mends [audit] in the config; `testlab-mcp audit verify` tells whether its file is whole.",
            ) from None

    def gave(self, answer: Mapping[str, Any]) -> None:
        """What the tool answered, as the client gets it."""
        self._answer = answer

    def asks(self) -> None:
        """A person has yet to be asked: there is nothing to tell of."""
        self._silent = True

    async def __aenter__(self) -> Attempt:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None):
        self._tracing.close()
        if self._silent or self._write is None:
            return
        if self._always or isinstance(error, Refused):
            await self._write({"event": "outcome", **self._facts(), **self._became(error), **self._upstream()})

    def _facts(self) -> dict[str, object]:
        from testlab_mcp.audit.entry import redacted, target_of

        self._call = self._call or uuid4().hex[:16]
        return {
            "call": self._call,
            **self._caller,
            "tool": self._spec.name,
            "target": target_of(self._arguments),
            "arguments": redacted(self._arguments),
        }

    def _became(self, error: BaseException | None) -> dict[str, object]:
        """Our own words for it alone: no error's text."""
        if error is None:
            from testlab_mcp.audit.entry import made_by

            answer = self._answer or {}
            made = {"made": made_by(answer)} if not self._spec.hints.read_only and made_by(answer) else {}
            return {"outcome": "queued" if answer.get("queued") else "ok", **made}
        name = type(error).__name__ if isinstance(error, LabError) else _OTHERS.get(type(error).__name__, "Unforeseen")
        if isinstance(error, Refused | BadInput):
            return {"outcome": "refused", "by": self.stage, "error": name}
        return {"outcome": "error", "error": name}

    def _upstream(self) -> dict[str, object]:
        trace = self._trace
        told: dict[str, object] = {
            "changes": [_told(answer) for answer in trace.changes],
            "reads": [_told(answer) for answer in trace.reads if answer.request_id],
            "refs": trace.refs,
            "left_out": trace.left_out,
        }
        said = {key: value for key, value in told.items() if value}
        return {**({"upstream": said} if said else {}), "duration_ms": round((time.monotonic() - self._begun) * 1000)}


_OTHERS = {"TimeoutError": "TooLong", "CancelledError": "Cancelled"}


def why_not(error: Exception) -> str:
    """Why a line could not be written, without a path."""
    if isinstance(error, OSError):
        return error.strerror or "The file cannot be used"
    return str(error) if type(error).__name__ == "Broken" else type(error).__name__


def _told(answer: Answered) -> dict[str, object]:
    told: dict[str, object] = {"service": answer.service, "method": answer.method, "status": answer.status}
    return told | ({"id": answer.request_id} if answer.request_id else {})
