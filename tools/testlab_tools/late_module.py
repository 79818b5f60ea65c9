"""Modules that are imported at their first use, so that starting the server does not pay for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class LateModule:
    """Stands for a module until a public name in it is asked for, be it by an annotation.

    >>> if TYPE_CHECKING:
    ...     from testlab_tools.triage import rendering
    ... else:
    ...     rendering = LateModule("testlab_tools.triage.rendering")
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked by what inspects objects of any kind
            raise AttributeError(name)
        return getattr(import_module(self._name), name)
