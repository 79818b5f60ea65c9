"""The dialogs of a running test: a case's dialog box, and the run's operator message.

They are identified by the id that HardPy gives each. The panel takes an answer for whatever waits when it comes, and
names no dialog in it: so the live state is read right before, and what has changed meanwhile is not answered.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast
from urllib.parse import quote

from testlab_tools.adapters.hardpy.client import PANEL
from testlab_tools.adapters.hardpy.models import DialogBox, OperatorMessage, PanelAnswer, StateDocument, Widget
from testlab_tools.adapters.hardpy.store import StateStore
from testlab_tools.capabilities import OperatorDialogs
from testlab_tools.errors import AnswerLost, BadInput, Conflict, LabError, NotFound, ServiceDown
from testlab_tools.http import Reply
from testlab_tools.http.errors import foreign
from testlab_tools.http.policy import look_up
from testlab_tools.http.response import decode, decode_value
from testlab_tools.models.nodes import Dialog
from testlab_tools.models.requests import DialogAnswer

Takes = Literal["nothing", "text", "number", "one choice", "choices", "unknown"]
TAKES: dict[str, Takes] = {
    "base": "nothing",
    "step": "nothing",
    "multistep": "nothing",
    "textinput": "text",
    "numericinput": "number",
    "radiobutton": "one choice",
    "checkbox": "choices",
}
"""By HardPy's names of widgets."""
RESULTS = {"confirm": "confirm", "pass": "passed", "fail": "failed"}
"""What the panel's own page sends for a button. HardPy takes any word but `passed` for a failure."""
_WITHOUT = "An answer that was lost is not sent again: get_job shows whether the dialog still waits."


class Dialogs(StateStore, OperatorDialogs):
    """Reads dialogs out of the live state, and answers one."""

    looks = (0.2, 0.3, 0.5, 1.0)
    """Seconds before each look whether an answered dialog has gone: the test looks for its answer each 0.1 s."""

    def dialogs_of(self, live: StateDocument) -> list[Dialog]:
        """The dialogs that the live state shows; of a state whose tests no longer run they wait for nobody."""
        reply, found = Reply(self.name, 200, {}, b""), list[Dialog]()
        for _, case in live.cases.values():
            if case.dialog_box:
                found.append(self._box(decode_value(reply, case.dialog_box, DialogBox), case.name, reply))
        if live.operator_msg and live.operator_msg.get("visible") not in (False, "false"):
            found.append(self._message(decode_value(reply, live.operator_msg, OperatorMessage)))
        return found

    def _box(self, box: DialogBox, case_name: str, reply: Reply) -> Dialog:
        labels = [text for text in box.button_text or [] if text]
        names = ["pass", "fail"] if box.pass_fail else ["confirm"]
        steps = [decode_value(reply, step, Widget) for step in _items(box.widget.info.get("steps"))]
        choices: object = box.widget.info.get("fields")
        return Dialog(
            dialog_id=self.handle(box.id),
            node_id=self.node,
            title=box.title_bar or case_name,
            text=box.dialog_text,
            takes=TAKES.get(box.widget.type, "unknown"),
            choices=[str(choice) for choice in _items(choices)],
            steps=[str(step.info.get("title", "")) for step in steps],
            buttons=dict(zip(names, [*labels, *names[len(labels) :]], strict=False)),
            shows=_shown(box.image, box.html),
        )

    def _message(self, message: OperatorMessage) -> Dialog:
        """HardPy does not tell whether the test waits for the message to be closed."""
        return Dialog(
            dialog_id=self.handle(message.id),
            node_id=self.node,
            title=message.title,
            text=message.msg,
            buttons={"confirm": "Close"},
            shows=_shown(message.image, message.html),
            holds="not told",
        )

    async def get_dialog(self, dialog_id: str) -> Dialog:
        return (await self._find_dialog(dialog_id))[0]

    async def _find_dialog(self, dialog_id: str) -> tuple[Dialog, list[Dialog]]:
        """A dialog that waits, and all that are shown."""
        if await self.is_busy():
            live = (await self.read_store(fresh=True)).live
            shown = self.dialogs_of(live) if live else []
            for dialog in shown:
                if self.native(dialog.dialog_id) == dialog_id:
                    return dialog, shown
        raise NotFound(
            "No such dialog waits any more",
            "It was answered, by somebody at the stand perhaps, or its test has ended",
            f"get_job(node_id={self.node!r}) shows what waits now.",
        ).naming(dialog_id)

    def check_answer(self, dialog: Dialog, answer: DialogAnswer) -> None:
        order_of(dialog, answer)

    async def answer_dialog(self, dialog_id: str, answer: DialogAnswer) -> bool:
        dialog, shown = await self._find_dialog(dialog_id)
        if dialog.holds and (boxes := [other.dialog_id for other in shown if not other.holds]):
            raise Conflict(
                "The test does not wait for this message, but in another dialog",
                "HardPy would give it this answer",
                f"answer_dialog(dialog_id={boxes[0]!r}) is what it waits for.",
            )
        path, body = order_of(dialog, answer)
        try:
            reply = await self.client.send("POST", path, body=body, settled=lambda reply: reply.status == 200)
            said = decode(self.check(reply, "the answer"), PanelAnswer).status
        except AnswerLost as lost:
            raise await self._in_doubt(dialog_id, lost) from None
        if said == "error":
            raise ServiceDown(
                self.name,
                f"The panel of {self.name} could not pass the answer on",
                "The dialog still waits",
                "The panel's own console says why.",
            )
        if said != "busy":
            raise foreign(self.name, PANEL, reply.status)
        return bool(await look_up(self._gone(dialog_id), self.looks))

    def _gone(self, dialog_id: str) -> Callable[[], Awaitable[bool | None]]:
        async def look() -> bool | None:
            try:
                await self.get_dialog(dialog_id)
            except NotFound:
                return True
            return None

        return look

    async def _in_doubt(self, dialog_id: str, lost: AnswerLost) -> AnswerLost:
        """Whoever else answers at the stand makes a dialog go as well: that it has gone proves nothing."""
        try:
            gone = bool(await look_up(self._gone(dialog_id), self.looks))
            seen = "The dialog has gone, by this answer or by somebody's at the stand" if gone else "It still waits"
        except LabError:
            seen = "Whether it still waits cannot be looked up"
        return AnswerLost(
            self.name, f"{self.name} was sent the answer and did not reply", f"{seen}. {lost.why}", _WITHOUT
        )


def order_of(dialog: Dialog, answer: DialogAnswer) -> tuple[str, object]:
    """Where and in what form an answer is sent. Raises BadInput for what the dialog does not take."""
    if answer.button not in dialog.buttons:
        raise BadInput("The dialog has no such button", "", f"button is one of: {', '.join(dialog.buttons)}.")
    if dialog.holds:
        _refuse_values(answer.values)
        return "/api/confirm_operator_msg/false", None
    return "/api/confirm_dialog_box", {
        "result": RESULTS[answer.button],
        "data": _encode(_data_of(dialog, answer.values)),
    }


def _data_of(dialog: Dialog, values: tuple[str, ...]) -> str:
    match dialog.takes:
        case "nothing":
            _refuse_values(values)
            return "ok"
        case "text" if len(values) == 1 and values[0].strip():
            return values[0]
        case "text":
            raise BadInput("The dialog takes one text", "", "Give it in values.")
        case "number":
            return _number(values)
        case "one choice" | "choices":
            return _choices(dialog, values)
        case _:
            raise BadInput(
                "What this dialog takes is not known",
                "Its input is one that HardPy 0.25 does not have",
                "Leave it to somebody at the stand.",
            )


def _refuse_values(values: tuple[str, ...]) -> None:
    if values:
        raise BadInput("The dialog takes no values", "", "Leave values out.")


def _number(values: tuple[str, ...]) -> str:
    try:
        if len(values) == 1 and math.isfinite(float(values[0])):
            return values[0].strip()
    except ValueError:
        pass
    raise BadInput("The dialog takes one number", "", 'Give it in values, as ["3.3"].')


def _choices(dialog: Dialog, values: tuple[str, ...]) -> str:
    one = dialog.takes == "one choice"
    known = all(value in dialog.choices for value in values) and len(set(values)) == len(values)
    if not known or not values or (one and len(values) > 1):
        raise BadInput(
            f"The dialog takes {'one' if one else 'at least one'} of its choices",
            "",
            "get_job shows them: give them in values.",
        )
    return next(iter(values)) if one else repr(list(values))


def _encode(text: str) -> str:
    """A text as the panel reads it back unchanged: it unquotes what comes twice, then once more each `%` with two
    digits, as single characters."""
    return quote(quote(text.replace("%", "%25"), safe=""), safe="")


def _shown(image: dict[str, Any] | None, html: dict[str, Any] | None) -> list[Literal["image", "web page"]]:
    shown: dict[Literal["image", "web page"], object] = {"image": image, "web page": html}
    return [name for name, there in shown.items() if there]


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
