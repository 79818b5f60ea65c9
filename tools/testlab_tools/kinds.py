"""The kinds of service there are: every folder of this package that holds an `adapter.py`.

An adapter module exports `Settings`, the keys its config table takes, and `connect(name, settings)`, which makes the
service. It is imported only when a config names its kind.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, cast

import testlab_tools
from testlab_tools.capabilities import Service
from testlab_tools.errors import ConfigError
from testlab_tools.settings import ServiceSettings


class Kind(Protocol):
    """What an adapter module exports."""

    Settings: type[ServiceSettings]

    def connect(self, name: str, settings: Any) -> Service:
        """The service for one config table. Opens nothing: the first request does."""
        ...


def known_kinds() -> list[str]:
    """Names of all kinds, sorted. A new folder with an `adapter.py` is a new kind."""
    found = {p.parent.name for root in testlab_tools.__path__ for p in Path(root).glob("*/adapter.py")}
    return sorted(found)


def load_kind(name: str) -> Kind:
    """The adapter module of a kind. Raises ConfigError naming the nearest known kind."""
    kinds = known_kinds()
    if name not in kinds:
        near = get_close_matches(name, kinds, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known kinds: {', '.join(kinds)}."
        raise ConfigError(f"there is no kind of service {name!r}", "", hint)
    return cast(Kind, importlib.import_module(f"testlab_tools.{name}.adapter"))
