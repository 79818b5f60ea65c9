"""Services whose running tests ask their operator: dialogs that wait for a person."""

from __future__ import annotations

from abc import abstractmethod

from testlab_tools.capabilities.service import Service
from testlab_tools.models.nodes import Dialog
from testlab_tools.models.requests import DialogAnswer


class OperatorDialogs(Service):
    """Shows the dialogs that tests wait in, and takes a person's answer to one. None is ever answered by itself."""

    @abstractmethod
    async def get_dialog(self, dialog_id: str) -> Dialog:
        """Return a dialog that waits. Raises NotFound when it waits no more, be it answered or its test ended."""

    @abstractmethod
    def check_answer(self, dialog: Dialog, answer: DialogAnswer) -> None:
        """Raise BadInput where the dialog has no such button, or takes no such values: before a person is asked."""

    @abstractmethod
    async def answer_dialog(self, dialog_id: str, answer: DialogAnswer) -> bool:
        """Send the answer, once, if this very dialog still waits; True when it has gone.

        Raises:
            NotFound: another dialog waits, or none.
            BadInput: the dialog has no such button, or takes no such values.
            AnswerLost: whether it was answered is not known.
        """
