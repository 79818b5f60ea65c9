"""A person's agreement before a tool goes ahead, in both protocol eras, and without it where a client cannot ask."""

from __future__ import annotations

import re
from typing import Any, cast

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, Resolve, build_resolver_plans, resolve_arguments
from mcp_types import InputRequiredResult
from pydantic import BaseModel, Field

from testlab_tools.errors import Refused
from testlab_tools.registry import Question


class Agreement(BaseModel):
    """What the person answers."""

    go_ahead: bool = Field(description="Go ahead?")


async def agreed(question: Question, confirm: str, context: Context[Any, Any]) -> InputRequiredResult | None:
    """None once a person has agreed; a result to return when the client has to ask first (2026-07-28).

    A question whose facts have changed since it was asked is asked again.

    Raises:
        Refused: the person declined; or the client cannot ask, and `confirm` does not repeat the target's name.
    """
    if not can_ask(context):
        if confirm == question.target:
            return None
        raise Refused(
            f"This needs a person's agreement, and the client cannot ask. {question.text}",
            "",
            f"Ask them yourself; if they agree, call again with confirm={_named(question.target)}.",
        )

    async def ask() -> Elicit[Agreement]:
        return Elicit(question.text + question.quoted, Agreement)

    asked = {"answer": (Resolve(ask), True)}
    answered = await resolve_arguments(asked, build_resolver_plans(asked, set()), {}, context)
    if isinstance(answered, InputRequiredResult):
        return answered
    answer = cast(ElicitationResult[Agreement], answered["answer"])
    if answer.action == "accept" and answer.data.go_ahead:
        return None
    raise Refused("The person asked did not agree", "", "Do not ask again for the same; tell them what it was for.")


def _named(target: str) -> str:
    """The name to repeat, if it is one: a caller can be fed by anybody."""
    return repr(target) if _NAME.fullmatch(target) else "the name of what you gave"


_NAME = re.compile(r"[\w.:+/@~%-]{1,200}", re.ASCII)


def can_ask(context: Context[Any, Any]) -> bool:
    """Whether the client can put a question to a person."""
    capabilities = context.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
