"""Procedures, parts, batches and stations, as tools report them."""

from __future__ import annotations

from typing import Literal

from testlab_tools.models.lab import ResultModel
from testlab_tools.untrusted import Untrusted

DefinitionKind = Literal["procedures", "parts", "batches", "stations"]


class Definition(ResultModel):
    """A procedure or station, by id and name; a part or batch, by number.

    `version` is that of a procedure's newest run, `runs` counts a procedure's runs, `units` a batch's units, of which
    `serial_numbers` are named. `procedures` are a station's, `stations` a procedure's.
    """

    id: str = ""
    number: Untrusted = ""
    name: Untrusted = ""
    version: Untrusted = ""
    revisions: list[Untrusted] = []
    runs: int | None = None
    units: int | None = None
    serial_numbers: list[Untrusted] = []
    procedures: list[Untrusted] = []
    stations: list[Untrusted] = []


class Definitions(ResultModel):
    """A page of definitions of one kind. `cursor` fetches the next page; empty means this is the last."""

    found: list[Definition]
    cursor: str = ""
    note: str = ""
    next: str = ""
