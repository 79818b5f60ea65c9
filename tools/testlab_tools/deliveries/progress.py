"""How far a delivery has come: kept with it, and all that another process goes by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from testlab_tools import errors
from testlab_tools.deliveries.parcel import Parcel
from testlab_tools.errors import (
    AnswerLost,
    AuthError,
    BadReply,
    ConfigError,
    LabError,
    RateLimited,
    ServiceDown,
    ServiceError,
)
from testlab_tools.models import CreatedRun
from testlab_tools.times import Moment

State = Literal["queued", "sending", "delivered", "parked"]

PASSING = (ServiceDown, RateLimited, AnswerLost, BadReply)
"""What time may mend."""
OPERATOR = (AuthError, ConfigError)
"""What the operator mends in the config, the run left as it is: a token, a service's name. Tried at long pauses."""
PASSING_OR_OPERATOR = PASSING + OPERATOR
UNSURE = (AnswerLost, BadReply)
"""After these, what was sent may have arrived."""


class Failure(BaseModel):
    """A LabError as it is kept: none of it is anybody else's text."""

    kind: str
    what: str
    why: str = ""
    next_step: str = ""

    @classmethod
    def of(cls, error: LabError) -> Failure:
        return cls(kind=type(error).__name__, what=error.what, why=error.why, next_step=error.next_step)

    def __str__(self) -> str:
        return str(LabError(self.what, self.why, self.next_step))

    def error(self, service: str) -> LabError:
        """The error again, of its own class."""
        kind: Any = getattr(errors, self.kind, LabError)
        texts = (self.what, self.why, self.next_step)
        return kind(service, *texts) if issubclass(kind, ServiceError) else kind(*texts)


class Progress(BaseModel):
    """`attempts` counts sends; `unsure` says that one of them may have arrived without our knowing.

    A run is there as `created` before its files are; `sent` are the numbers of those it has got. A report has become
    the runs `run_ids`.
    """

    state: State = "queued"
    attempts: int = 0
    unsure: bool = False
    failure: Failure | None = None
    next_try_at: datetime | None = None
    created: CreatedRun | None = None
    sent: list[int] = []
    run_ids: list[str] = []


class Kept(BaseModel):
    """A delivery as it is kept; `round` counts how often it was released or given again."""

    delivery_id: str
    round: int
    service: str
    parcel: Parcel
    written_at: Moment
    progress: Progress


Tell = Callable[[Progress], Awaitable[None]]
"""Keeps how far a delivery has come."""
Contents = Callable[[int], Awaitable[bytes]]
"""The content of a file of the delivery, by its number."""
