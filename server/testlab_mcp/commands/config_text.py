"""The text of a config file with service tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from testlab_tools.errors import BadInput

STATISTICS_ON = 'toolsets = ["default", "statistics"]'
"""The line of `[server]` that turns statistics on."""

Tables: TypeAlias = Mapping[str, Mapping[str, str]]
"""Keys and values of each `[services.NAME]`."""


def write_tables(access: str, tables: Tables, statistics: bool = False) -> str:
    """A config with these services, and the toolset `statistics` where asked; every other key has its default.

    >>> print(write_tables("observe", {"portal": {"kind": "scope", "url": "https://lab.example.com"}}))
    [server]
    access = "observe"
    <BLANKLINE>
    [services.portal]
    kind = "scope"
    url = "https://lab.example.com"
    <BLANKLINE>
    """
    toolsets = f"{STATISTICS_ON}\n" if statistics else ""
    parts = [f"[server]\naccess = {_quote(access)}\n{toolsets}"]
    for name, table in tables.items():
        keys = "".join(f"{key} = {_quote(value)}\n" for key, value in table.items())
        parts.append(f"[services.{name}]\n{keys}")
    return "\n".join(parts)


def _quote(value: str) -> str:
    """A basic string of TOML. Raises BadInput for what no key takes."""
    if not value.isprintable():
        raise BadInput("A value holds a character that cannot be printed")
    return json.dumps(value, ensure_ascii=False)
