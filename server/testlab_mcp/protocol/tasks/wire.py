"""A task as the protocol has it: `Task` and `DetailedTask` of SEP-2663."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, InputRequiredResult, InputResponses
from pydantic import BaseModel, TypeAdapter, ValidationError

from testlab_mcp.protocol.tasks.record import Questions, TaskRecord

POLL_RUNNING_MS = 2000
POLL_FOLLOWED_MS = 5000
_RESPONSES: TypeAdapter[InputResponses] = TypeAdapter(InputResponses)
_OUTCOME = {"completed": "result", "failed": "error"}


def describe_created(task: TaskRecord) -> dict[str, Any]:
    """`CreateTaskResult`."""
    return {"resultType": "task", **_describe(task)}


def describe_task(task: TaskRecord) -> dict[str, Any]:
    """What `tasks/get` answers: with the result, the error or the open requests, by the task's state."""
    told = {"resultType": "complete", **_describe(task)}
    if task.status == "input_required" and task.questions is not None:
        told["inputRequests"] = task.questions.wanted
    elif (field := _OUTCOME.get(task.status)) and task.outcome is not None:
        told[field] = {"resultType": "complete", **task.outcome} if field == "result" else task.outcome
    return told


def _describe(task: TaskRecord) -> dict[str, Any]:
    return {
        "taskId": task.task_id,
        "status": task.status,
        "createdAt": _iso(task.created_at),
        "lastUpdatedAt": _iso(task.updated_at),
        "ttlMs": max(1, round((task.expires_at - task.created_at) * 1000)),
        "pollIntervalMs": POLL_FOLLOWED_MS if task.follows else POLL_RUNNING_MS,
        **({"statusMessage": task.message} if task.message else {}),
    }


def to_json(result: HandlerResult) -> dict[str, Any]:
    """What is sent of a result, a request or an error."""
    if isinstance(result, BaseModel):
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return dict(result or {})


def to_questions(result: InputRequiredResult, before: Questions | None) -> Questions:
    """What a call asks now. No key comes twice in the life of a task."""
    number = before.number + 1 if before else 1
    asked: Mapping[str, BaseModel] = result.input_requests or {}
    wanted = {f"{number}.{key}": to_json(request) for key, request in asked.items()}
    return Questions(number=number, wanted=wanted, state=result.request_state)


def read_answers(asked: Questions, responses: Mapping[str, Any]) -> dict[str, Any]:
    """The answers to what is still asked. Raises MCPError for one that is malformed."""
    answers = {key: answer for key, answer in responses.items() if key in asked.wanted}
    try:
        _RESPONSES.validate_python(answers)
    except ValidationError:
        raise MCPError(INVALID_PARAMS, f"Malformed inputResponses: {', '.join(answers)}") from None
    return answers


def read_responses(asked: Questions) -> InputResponses:
    """All answers, by the call's own keys."""
    return _RESPONSES.validate_python({key.partition(".")[2]: answer for key, answer in asked.answers.items()})


def to_plain(responses: InputResponses | None) -> dict[str, Any]:
    """Answers as JSON."""
    return _RESPONSES.dump_python(responses or {}, by_alias=True, mode="json", exclude_none=True)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
