"""The next step of a result or an error names only tools that the caller has and that the service at hand can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from testlab_tools.errors import LabError
from testlab_tools.handles import Handle
from testlab_tools.models.lab import ResultModel
from testlab_tools.registry import Call, Illustrated, Picture
from testlab_tools.tool_mentions import drop_mentions
from testlab_tools.tools import all_tools

Result = ResultModel | Picture | Illustrated[Any]


def limit_result(value: Result, call: Call, arguments: Mapping[str, Any]) -> Result:
    """A tool's result, with a next step that can be taken."""
    if isinstance(value, Illustrated):
        return Illustrated(_limit_next(value.result, call, arguments), value.image)
    return _limit_next(value, call, arguments) if isinstance(value, ResultModel) else value


def limit_error(error: LabError, call: Call, arguments: Mapping[str, Any]) -> LabError:
    """The error, with a next step that can be taken."""
    allowed = drop_mentions(error.next_step, _unusable(call, arguments))
    if allowed != error.next_step:
        error.next_step = allowed
        error.args = (str(LabError(error.what, error.why, allowed)),)
    return error


def _limit_next(noun: ResultModel, call: Call, arguments: Mapping[str, Any]) -> ResultModel:
    said = getattr(noun, "next", "")
    if not said:
        return noun
    return noun.model_copy(update={"next": drop_mentions(said, _unusable(call, arguments, noun))})


def _unusable(call: Call, arguments: Mapping[str, Any], returned: ResultModel | None = None) -> frozenset[str]:
    """The tools that the caller does not have, or that no service can do whose ids were given or, if none, returned."""
    known = call.lab.services
    names = set(_services_in(arguments, known))
    if returned is not None and not names:
        names = set(_services_in(returned.model_dump(), known))
    services = [known[name] for name in names]
    beyond = {t.name for t in all_tools() if services and not any(isinstance(service, t.needs) for service in services)}
    return call.unavailable | beyond


def _services_in(value: object, known: Mapping[str, object], name: str = "") -> Iterator[str]:
    """Names of the services that handles in JSON data, and members called `service`, belong to."""
    if isinstance(value, Mapping):
        for key, item in cast(Mapping[str, object], value).items():
            yield from _services_in(item, known, key)
    elif isinstance(value, list):
        for item in cast(list[object], value):
            yield from _services_in(item, known, name)
    elif isinstance(value, str) and name == "service" and value in known:
        yield value
    elif isinstance(value, str) and name.endswith(("_id", "_ids", "_uid")) and (of := Handle.parse(value, known)[0]):
        yield of
