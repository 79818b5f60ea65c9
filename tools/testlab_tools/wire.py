"""Reading replies: from JSON to a wire shape, or a BadReply that says which field is missing."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from testlab_tools.errors import BadReply
from testlab_tools.http import Reply

T = TypeVar("T")
_FIELDS: set[str] = set()
"""The field names of all wire shapes: the only names said in errors, since a reply may make names of its own."""


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_/.:+~%@=,-]{1,300}$")]
"""An id that a service made: it becomes part of handles, paths and our own sentences, so it cannot hold words."""


class Wire(BaseModel):
    """A service's own shape. Unknown fields are let through: services add them without notice."""

    model_config = ConfigDict(defer_build=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for name, field in cls.model_fields.items():
            alias = field.validation_alias
            aliases = alias.choices if isinstance(alias, AliasChoices) else (alias,)
            _FIELDS.update(a for a in (name, *aliases) if isinstance(a, str))


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def decode(reply: Reply, shape: type[T]) -> T:
    """The reply's body as `shape`. Raises BadReply naming the first field that is missing or of another type."""
    return decode_value(reply, reply.json(), shape)


def decode_value(reply: Reply, value: Any, shape: type[T]) -> T:
    """A part of the reply's body, already parsed, as `shape`."""
    try:
        return _adapter(shape).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in _FIELDS)[:80]
        missing = first["type"] == "missing"
        raise BadReply(
            reply.service,
            f"Service {reply.service} answered {reply.status} with a reply that cannot be read",
            f"Field {where or '(the whole)'} {'is missing' if missing else 'has another type than documented'}",
            "The service may be of a version this server does not know; `testlab-mcp doctor` tests it.",
        ) from None
