"""The tool that answers what a running test asks its operator, once a person has agreed."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field

from testlab_tools.capabilities import OperatorDialogs
from testlab_tools.models.jobs import AnsweredDialog
from testlab_tools.models.requests import DialogAnswer, DialogButton
from testlab_tools.registry import ADD, Call, Question, tool
from testlab_tools.untrusted import quote

SAME = "This is the answer given before, whose result was not heard: nothing was sent twice."


async def _ask_before_answering(
    call: Call, dialog_id: str, button: DialogButton, values: list[str], confirm: str
) -> Question:
    """What the dialog says, as it stands now, and what will be sent."""
    service, native = call.lab.owner(dialog_id, OperatorDialogs)
    dialog = await service.get_dialog(native)
    service.check_answer(dialog, DialogAnswer(button, tuple(values)))
    label = dialog.buttons.get(button, "")
    given = f"\nTyped or chosen: {quote(json.dumps(values, ensure_ascii=False))}" if values else ""
    return Question(
        f"Press {button} in dialog {dialog.dialog_id!r}, in which a test on {dialog.node_id!r} waits for its operator?",
        target=dialog.dialog_id,
        quoted=f"\nTitle: {quote(dialog.title)}\nText: {quote(dialog.text)}\nButton: {quote(label)}{given}",
    )


@tool(toolset="jobs", access="operate", needs=OperatorDialogs, hints=ADD, asks=_ask_before_answering)
async def answer_dialog(
    call: Call,
    dialog_id: Annotated[str, Field(min_length=1)],
    button: DialogButton = "confirm",
    values: list[str] = [],
    confirm: str = "",
) -> AnsweredDialog:
    """Answer a dialog of a running test, from get_job. A person is asked first.

    values: what is typed or chosen.
    """
    service, native = call.lab.owner(dialog_id, OperatorDialogs)
    answer = DialogAnswer(button, tuple(values))
    dialog = await service.get_dialog(native)
    given = await call.lab.orders.run(
        ("answer_dialog", call.caller, service.name, native, answer), lambda: service.answer_dialog(native, answer)
    )
    unseen = "" if given.value else "It was sent, and the dialog is still there."
    return AnsweredDialog(
        dialog_id=dialog.dialog_id,
        answered=given.value,
        note=f"{SAME if given.again else ''} {unseen}".strip(),
    )
