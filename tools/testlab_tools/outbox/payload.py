"""What a delivery brings, how far it has come, and what its next generation brings: all that another process goes by.

The contents of files are not part of a payload, which is read often. They are stored beside it (`blob_store`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from testlab_tools import errors
from testlab_tools.errors import BadInput, Conflict, LabError, ServiceError
from testlab_tools.late_model import LateModel
from testlab_tools.models.lab import CreatedRun
from testlab_tools.models.requests import NewRun
from testlab_tools.times import Moment

MAX_FILES = 100
"""Kept with a run, as many as TofuPilot's own clients send (1.12.1, 2.26.1)."""
MAX_BYTES = 64 * 2**20
"""Of all files kept with a run together."""


class FileFacts(LateModel):
    """A file kept with a run. Its name is untrusted text."""

    name: str
    size: int


class RunPayload(LateModel):
    """A run, and the files to keep with it; `unkept` counts files too many or too large to be written down.

    From an earlier generation: `earlier` is the run as it was recorded then, `sent` are the numbers of the files it
    got, `doubtful` those of files that may have arrived.
    """

    kind: Literal["run"] = "run"
    run: dict[str, Any]
    files: list[FileFacts] = []
    unkept: int = 0
    earlier: CreatedRun | None = None
    sent: list[int] = []
    doubtful: list[int] = []


class ReportPayload(LateModel):
    """A report for one of the service's importers; its content is file 0.

    `serial_number` and `started_at` are empty where the report does not say them. `earlier` are the handles of the runs
    that it became before. `checked` says that a person has looked, and has not found it at the service.
    """

    kind: Literal["report"] = "report"
    importer: str
    name: str
    size: int
    serial_number: str = ""
    started_at: datetime | None = None
    earlier: list[str] = []
    checked: bool = False


Payload = RunPayload | ReportPayload


def encode(payload: Payload) -> list[Any]:
    """The payload as a workflow's inputs: a run without files alone, else an empty object and the payload."""
    if isinstance(payload, RunPayload) and not (payload.files or payload.unkept or payload.earlier):
        return [payload.run]
    return [{}, payload.model_dump(mode="json")]


def decode(content: Sequence[Any]) -> Payload:
    """The payload of a workflow's inputs."""
    run, *whole = content
    return _payload_adapter().validate_python(whole[0]) if whole and whole[0] else RunPayload(run=run)


@cache
def run_adapter() -> TypeAdapter[NewRun]:
    """Writes a run as JSON and reads it back; built when the first is sent."""
    return TypeAdapter(NewRun)


@cache
def _payload_adapter() -> TypeAdapter[Payload]:
    return TypeAdapter(Annotated[Payload, Field(discriminator="kind")])


State = Literal["queued", "sending", "delivered", "parked"]

PASSING = (errors.ServiceDown, errors.RateLimited, errors.AnswerLost, errors.BadReply)
"""Errors that pass with time."""
OPERATOR = (errors.AuthError, errors.ConfigError)
"""Errors that the operator mends in the config, such as a wrong token; tried again at long pauses."""
PASSING_OR_OPERATOR = PASSING + OPERATOR
REFUSALS = (BadInput, Conflict, errors.Refused, errors.Unsupported, errors.NotFound, *OPERATOR)
"""Errors after which nothing was done at the service. After any other error, what was sent may have arrived."""


class Failure(LateModel):
    """A LabError as it is stored; no reply's text is in it but `service_says` and `nearest`, which are untrusted."""

    kind: str
    what: str
    why: str = ""
    next_step: str = ""
    service_says: str = ""
    nearest: dict[str, str] = {}

    @classmethod
    def from_error(cls, error: LabError) -> Failure:
        return cls(
            kind=type(error).__name__,
            what=error.what,
            why=error.why,
            next_step=error.next_step,
            service_says=error.service_says,
            nearest=dict(error.nearest),
        )

    def __str__(self) -> str:
        return str(LabError(self.what, self.why, self.next_step))

    def describe_waiting(self) -> str:
        """Why a delivery waits. Of what to do, only what the operator may: it goes on by itself."""
        by_operator = self.kind in {kind.__name__ for kind in OPERATOR}
        return str(LabError(self.what, self.why, self.next_step if by_operator else ""))

    def to_error(self, service: str) -> LabError:
        """The error, of its own class."""
        kind: Any = getattr(errors, self.kind, LabError)
        texts = (self.what, self.why, self.next_step)
        error: LabError = kind(service, *texts) if issubclass(kind, ServiceError) else kind(*texts)
        return error.saying(self.service_says).near(self.nearest)


class Progress(LateModel):
    """`attempts` counts sends; `unsure` says that one of them may have arrived without our knowing.

    A run is there as `created` before its files are; `sent` are the numbers of those it has got. A report has become
    the runs `run_ids`. `doubtful` are the numbers of files that may be there.
    """

    state: State = "queued"
    attempts: int = 0
    unsure: bool = False
    failure: Failure | None = None
    next_try_at: datetime | None = None
    created: CreatedRun | None = None
    sent: list[int] = []
    doubtful: list[int] = []
    run_ids: list[str] = []

    def sending(self) -> Progress:
        """The same, while a request is under way that may arrive."""
        return self.model_copy(update={"state": "sending", "next_try_at": None})


class DeliveryRecord(LateModel):
    """A stored delivery; `generation` counts how often it was released or given again."""

    delivery_id: str
    generation: int
    service: str
    payload: Payload
    written_at: Moment
    progress: Progress


OnProgress = Callable[[Progress], Awaitable[None]]
"""Stores how far a delivery has come."""
Contents = Callable[[int], Awaitable[bytes]]
"""The content of a file of the delivery, by its number."""


def resend(record: DeliveryRecord, payload: Payload) -> Payload:
    """The next generation of a delivery that has arrived or is parked, and was given again as `payload`.

    Raises:
        Conflict: it is a report that may be there, and that nobody has looked for.
    """
    progress = record.progress
    if isinstance(payload, RunPayload):
        earlier = progress.created or (record.payload.earlier if isinstance(record.payload, RunPayload) else None)
        sent = [n for n in progress.sent if n < len(payload.files)]
        doubtful = [n for n in progress.doubtful if n < len(payload.files)]
        return payload.model_copy(update={"earlier": earlier, "sent": sent, "doubtful": doubtful})
    if progress.state == "parked" and progress.unsure and progress.failure and progress.failure.kind == "Conflict":
        raise Conflict(
            f"The same report is parked as delivery {record.delivery_id}, since it may be there already",
            progress.failure.why,
            f"{progress.failure.next_step} Give release_delivery (toolset deliveries) this delivery_id.",
        )
    refused = progress.state == "parked" and not progress.unsure
    return payload.model_copy(update={"earlier": progress.run_ids, "checked": refused})


def correct(record: DeliveryRecord, service: str, changes: Mapping[str, str]) -> Payload:
    """The next generation of a parked delivery, to be sent to `service` with fields changed.

    Raises:
        Conflict: it is not parked; or its run is there, and only its files are not.
        BadInput: a report has no such fields.
    """
    progress = record.progress
    if progress.state != "parked":
        raise Conflict(
            f"The delivery is {progress.state}, not parked", "", "Only what is parked can be changed and released."
        )
    if isinstance(record.payload, ReportPayload):
        if changes.keys() - {"serial_number"}:
            raise BadInput(
                "A report is sent as it is: none of its fields can be changed",
                "",
                "Leave them out; serial_number and service can be given.",
            )
        earlier = record.payload.earlier if service == record.service else []
        return record.payload.model_copy(update={"checked": True, "earlier": earlier, **changes})
    other = bool(changes) or service != record.service
    if progress.created is None:
        earlier = None if other else record.payload.earlier
        return record.payload.model_copy(update={"run": {**record.payload.run, **changes}, "earlier": earlier})
    if other:
        raise Conflict(
            "The run is there already: only files of it were refused",
            "",
            "Release the delivery without any change, and they are sent again.",
        )
    return record.payload.model_copy(update={"earlier": progress.created, "sent": progress.sent})
