"""What a tool is: a handler over capabilities, with its name, toolset, access level and the four MCP hints. Next steps
name tools; a sentence that names one which cannot be used is left out."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from testlab_tools.capabilities import Image, Service
from testlab_tools.deadline import Deadline
from testlab_tools.files.folders import Folders
from testlab_tools.jobs import Progress
from testlab_tools.lab import Lab
from testlab_tools.models.lab import ResultModel

Access = Literal["observe", "operate", "admin"]
Toolset = Literal["runs", "units", "nodes", "jobs", "production", "insight", "statistics", "campaigns", "deliveries"]
Needs = type[Service] | tuple[type[Service], ...]
"""The capability that a tool cannot do without; of several, one is enough."""
N = TypeVar("N", bound=ResultModel)
LEVELS: tuple[Access, ...] = ("observe", "operate", "admin")


@dataclass(frozen=True)
class Hints:
    """MCP's tool annotations, all four said. See the specification, "Tool annotations"."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool = True


LOOK = Hints(read_only=True, destructive=False, idempotent=True)
ADD = Hints(read_only=False, destructive=False, idempotent=False)
END = Hints(read_only=False, destructive=False, idempotent=True)
DESTROY = Hints(read_only=False, destructive=True, idempotent=True)


@dataclass(frozen=True)
class Picture:
    """An image for the model, with the facts about it in words."""

    image: Image
    facts: str


@dataclass(frozen=True)
class Illustrated(Generic[N]):
    """A result, with an image beside it if there is one: the model gets both."""

    result: N
    image: Image | None = None


@dataclass(frozen=True)
class Call:
    """One call of a tool.

    `progress` takes done, total and words. `admin_setting` is what would raise `access` to admin. `caller` is "local"
    over stdio. `deadline` says what the call may still take. `digest` is the same for the same caller, tool and
    arguments, and empty for tools that only look. `unavailable` names tools that the caller has not, `agreed` what a
    person agreed to; `pictures` is false where images are left out of answers.
    """

    lab: Lab
    files: Folders
    progress: Progress
    access: Access = "operate"
    admin_setting: str = '[server] access = "admin"'
    caller: str = "local"
    deadline: Deadline = field(default_factory=Deadline)
    digest: str = ""
    unavailable: frozenset[str] = frozenset()
    agreed: Question | None = None
    pictures: bool = True


@dataclass(frozen=True)
class Question:
    """What a person is asked before a tool goes ahead, from facts fetched now.

    `quoted` is what somebody else wrote and the person should see; it goes into the question and nowhere else. `target`
    is the name that `confirm` must repeat where the client cannot ask anybody.
    """

    text: str
    target: str
    quoted: str = ""


@dataclass(frozen=True)
class ToolSpec:
    """A tool. It is listed when a configured service has one of the capabilities in `needs`.

    The handler takes a `Call` and the tool's arguments; its docstring is what the model reads. A tool that `asks` first
    has an argument `confirm`, and goes ahead only when a person has agreed to the question; None is no question. The
    question is asked again when its facts have changed meanwhile, so it states no facts that change by themselves.
    `title` is what people read in a client's menu.
    """

    name: str
    toolset: Toolset
    access: Access
    needs: Needs
    hints: Hints
    handler: Callable[..., Awaitable[Any]]
    asks: Callable[..., Awaitable[Question | None]] | None = None
    title: str = ""

    @cached_property
    def returns(self) -> type[ResultModel] | type[Picture]:
        """What the handler returns; read at its first use, as it may be in a module that is imported late."""
        returns = get_type_hints(self.handler)["return"]
        return get_args(returns)[0] if get_origin(returns) is Illustrated else returns

    @property
    def description(self) -> str:
        """The handler's docstring, unwrapped to one line per paragraph."""
        paragraphs = (self.handler.__doc__ or "").split("\n\n")
        return "\n".join(" ".join(p.split()) for p in paragraphs).strip()


def tool(
    *,
    toolset: Toolset,
    access: Access,
    needs: Needs,
    hints: Hints,
    asks: Callable[..., Awaitable[Question | None]] | None = None,
    title: str = "",
) -> Callable[[Callable[..., Awaitable[Any]]], ToolSpec]:
    """Make a tool of an async function. Its title is the function's name in words, unless given.

    >>> @tool(toolset="nodes", access="observe", needs=NodeInventory, hints=LOOK)
    ... async def list_nodes(call: Call, available: bool = False) -> NodeList:
    ...     \"\"\"List the lab's nodes …\"\"\"
    """

    def make(handler: Callable[..., Awaitable[Any]]) -> ToolSpec:
        named = title or handler.__name__.replace("_", " ").capitalize()
        return ToolSpec(handler.__name__, toolset, access, needs, hints, handler, asks, named)

    return make


_SENTENCES = re.compile(r"(?<=[.!?]) +(?=[A-Za-z])")


def drop_mentions(text: str, tools: Collection[str]) -> str:
    """The text without the sentences that name one of these tools.

    >>> drop_mentions("It is parked. release_delivery sends it again.", {"release_delivery"})
    'It is parked.'
    """
    if not any(name in text for name in tools):
        return text
    named = re.compile(rf"\b(?:{'|'.join(map(re.escape, tools))})\b")
    return " ".join(sentence for sentence in _SENTENCES.split(text) if not named.search(sentence))
