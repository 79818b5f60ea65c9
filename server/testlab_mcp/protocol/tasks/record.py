"""A task as it is stored."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["working", "input_required", "completed", "failed", "cancelled"]
OPEN: tuple[Status, ...] = ("working", "input_required")
DEAD_S = 30.0
"""A process without a sign of life for so long is taken for dead."""


class Questions(BaseModel):
    """What a call asks of the client, of its `number`-th time of asking: by the key the client is given, the requests
    that are open and the answers to the others. `state` goes back into the call with the answers."""

    model_config = ConfigDict(frozen=True)

    number: int
    wanted: dict[str, dict[str, Any]]
    answers: dict[str, Any] = {}
    state: str | None = None


class TaskRecord(BaseModel):
    """A task. Times are UTC seconds. `outcome` is the result, or the error of one that failed. `follows` names the work
    of a call that is followed; of one that runs, `runner` is the process, which was alive at `beat_at` by the clock of
    the database, as `read_at` is: that of each process may be wrong."""

    model_config = ConfigDict(frozen=True)

    task_id: str
    caller: str
    tool: str
    arguments: dict[str, Any]
    created_at: float
    updated_at: float
    expires_at: float
    status: Status = "working"
    message: str = ""
    outcome: dict[str, Any] | None = None
    follows: str = ""
    questions: Questions | None = None
    runner: str = ""
    beat_at: float = 0.0
    read_at: float = Field(default=0.0, exclude=True)
