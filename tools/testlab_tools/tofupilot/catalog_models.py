"""TofuPilot's own shapes of what production goes by, as API v2 lists it. A station's `api_key` is in none of them."""

from __future__ import annotations

from testlab_tools.tofupilot.models import Named, Numbered
from testlab_tools.wire import Wire


class ProcedureWhole(Named):
    """`GET /v2/procedures/{id}`."""

    runs_count: int
    stations: list[Named] = []


class PartEntry(Wire):
    """An element of `GET /v2/parts`."""

    number: str
    name: str = ""
    revisions: list[Numbered] = []


class BatchEntry(Numbered):
    """An element of `GET /v2/batches`."""

    unit_count: int


class BatchUnit(Wire):
    """A unit of a batch."""

    serial_number: str


class BatchWhole(Numbered):
    """`GET /v2/batches/{number}`."""

    units: list[BatchUnit]


class StationEntry(Named):
    """An element of `GET /v2/stations`; of those that have a key, `GET /v2/stations/{id}` alone would tell it."""

    procedures: list[Named] = []
