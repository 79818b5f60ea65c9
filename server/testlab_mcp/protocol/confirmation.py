"""Has a person agree before a tool goes ahead, in both protocol eras, or the agent where a client cannot ask.

What a person answers counts once. The client carries the mark of the question (2026-07-28, `requestState`), which is
spent with the answer. The SDK seals the state and binds it to caller, tool and arguments for 600 s; it does not count
how often it comes. This process remembers the marks for longer.
"""

from __future__ import annotations

import json
import re
import time
from secrets import token_urlsafe
from typing import Any, cast

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, Resolve, build_resolver_plans, resolve_arguments
from mcp_types import InputRequiredResult
from pydantic import Field

from testlab_tools.errors import Conflict, Refused
from testlab_tools.late_model import LateModel
from testlab_tools.registry import Question

REMEMBERED_S = 1200
MAX_REMEMBERED = 100_000
_MARK = "mark"
_NAME = re.compile(r"[\w.:+/@~%-]{1,200}", re.ASCII)


class Agreement(LateModel):
    """What the person answers."""

    go_ahead: bool = Field(description="Go ahead?")


class AnsweredQuestions:
    """The marks of questions that have been answered."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def mark(self, state: str) -> str:
        """The state of a question, with a mark of its own."""
        return json.dumps({**_parse(state), _MARK: token_urlsafe(16)}, separators=(",", ":"))

    def spend(self, state: str | None) -> None:
        """Spend the mark of the state that a client brings back. Raises Conflict when it was spent before."""
        if not state:
            return
        now = time.monotonic()
        while self._until and (oldest := next(iter(self._until))) and self._until[oldest] <= now:
            del self._until[oldest]
        mark = _parse(state).get(_MARK)
        if not isinstance(mark, str) or mark in self._until:
            raise Conflict(
                "This question was answered before",
                "What a person answers counts once, whatever they answered",
                "Call again without the old requestState: the person is asked anew.",
            )
        if len(self._until) >= MAX_REMEMBERED:
            raise Conflict("Too many questions were answered", "", "Call again in some minutes.")
        self._until[mark] = now + REMEMBERED_S


ANSWERED = AnsweredQuestions()


def can_ask(context: Context[Any, Any]) -> bool:
    """Whether the client can put a question to a person."""
    capabilities = context.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


async def confirm_with_person(
    question: Question, confirm: str | None, context: Context[Any, Any]
) -> InputRequiredResult | None:
    """None once a person has agreed; a result to return when the client has to ask first (2026-07-28).

    A question whose facts have changed since it was asked is asked again. Without `confirm` only a person can agree.

    Raises:
        Refused: the person declined; or the client cannot ask, and `confirm` does not repeat the target's name.
    """
    if not can_ask(context):
        _check_confirm(question, confirm)
        return None

    async def ask() -> Elicit[Agreement]:
        return Elicit(question.text + question.quoted, Agreement)

    asked = {"answer": (Resolve(ask), True)}
    answered = await resolve_arguments(asked, build_resolver_plans(asked, set()), {}, context)
    if isinstance(answered, InputRequiredResult):
        return answered.model_copy(update={"request_state": ANSWERED.mark(answered.request_state or "")})
    answer = cast(ElicitationResult[Agreement], answered["answer"])
    if answer.action == "accept" and answer.data.go_ahead:
        return None
    raise Refused("The person asked did not agree", "", "Do not ask again for the same; tell them what it was for.")


def _check_confirm(question: Question, confirm: str | None) -> None:
    if confirm is None:
        raise Refused(
            "This needs a person's agreement, and the client cannot ask",
            'The operator has set [server] unasked = "refuse"',
            "Leave it to a person, or use a client that can ask (MCP elicitation).",
        )
    if confirm != question.target:
        # Quoted only if it is a name: what a caller sends may be text that the lab wrote.
        name = repr(question.target) if _NAME.fullmatch(question.target) else "the name of what you gave"
        raise Refused(
            f"This needs a person's agreement, and the client cannot ask. {question.text}",
            "",
            f"Ask them yourself; if they agree, call again with confirm={name}.",
        )


def _parse(state: str) -> dict[str, Any]:
    try:
        read: object = json.loads(state)
    except ValueError:
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}
