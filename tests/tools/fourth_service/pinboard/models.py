"""Pinboard's own shapes."""

from __future__ import annotations

from typing import Literal

from testlab_tools.times import Moment
from testlab_tools.wire import Wire


class Pin(Wire):
    """An element of `GET /pins`, newest first."""

    id: int
    title: str
    verdict: Literal["good", "bad"]
    pinned_at: Moment
    serial: str = ""
    remark: str = ""
