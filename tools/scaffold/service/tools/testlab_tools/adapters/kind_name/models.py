"""KindName's own shapes. Unknown fields are let through, missing ones are a BadReply."""

from __future__ import annotations

from typing import Literal

from testlab_tools.http.response import Id, Wire
from testlab_tools.times import Moment


class ReservationRow(Wire):
    """A reservation; `mine` is of the token's user."""

    id: Id
    node: Id
    holder: str
    mine: bool
    message: str
    expires: Moment | None


class NodeRow(Wire):
    """An element of `GET /api/nodes`."""

    id: Id
    online: bool
    reservation: ReservationRow | None


class RunRow(Wire):
    """An element of `GET /api/runs`."""

    id: Id
    test: str
    node: Id
    result: Literal["passed", "failed"]
    started: Moment
    message: str = ""
