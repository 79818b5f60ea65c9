"""`serve` over stdio before anything of it is imported: the first answers, if the last start has left them."""

from __future__ import annotations

import os
import sys

from testlab_mcp.startup.document import Document
from testlab_mcp.startup.options import read_options, read_surface
from testlab_mcp.startup.responder import Responder, Taken
from testlab_mcp.startup.streams import take_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SWITCH_S = 0.0005
"""How long the imports may keep the interpreter from the thread that answers; Python's own is ten times that."""


class Early:
    """A start of `serve` over stdio, with the `answers` of the last one, which are being given until `take_over`."""

    def __init__(self, options: dict[str, str], document: Document) -> None:
        self._options = options
        self.document = document
        self.answers = document.read()
        self._switch_s = sys.getswitchinterval()
        self._responder: Responder | None = None
        if self.answers:
            sys.setswitchinterval(SWITCH_S)
            self._responder = Responder(*take_streams(), self.answers)

    def take_over(self) -> Taken:
        """End the first answers. Returns the streams, and what came of them."""
        if self._responder is None:
            return Taken(*take_streams())
        sys.setswitchinterval(self._switch_s)
        return self._responder.stop()

    def is_current(self) -> bool:
        """Whether config and code are still those that this process started with."""
        surface = read_surface(self._options)
        return surface is not None and Document(surface).path == self.document.path


def begin(arguments: Sequence[str]) -> Early | None:
    """Begin to answer, if this is `serve` over stdio with a config that can be read. On Windows, where a thread that
    reads cannot be stopped, nothing is answered early."""
    if os.name != "posix" or (options := read_options(arguments)) is None:
        return None
    surface = read_surface(options)
    return None if surface is None else Early(options, Document(surface))
