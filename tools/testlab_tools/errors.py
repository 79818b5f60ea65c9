"""Everything that can go wrong between an agent and the lab.

Each error says what happened, why, and the next step, in our own words: text that a service, a device or a
test author wrote never becomes part of it.

    LabError
    ├── BadInput            an argument cannot be right
    ├── ConfigError         the config file, or a token it names, is wrong
    ├── Refused             the service or this server's settings do not allow it
    ├── Unsupported         no configured service can do it
    ├── NotFound            no such run, node, job, reservation, unit, …
    │   └── Gone            there was one; it has been deleted
    ├── Conflict            busy, or reserved by somebody
    └── ServiceError        the service itself
        ├── AuthError       it does not accept the token
        ├── RateLimited     it asks to wait longer than a call may take
        ├── ServiceDown     no answer, or only 5xx
        ├── AnswerLost      a change was sent and its answer never came
        └── BadReply        an answer that is not what its documentation says
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Self


class LabError(Exception):
    """Base of all errors a tool reports.

    >>> str(NotFound("No node 'rack-9'", next_step="list_nodes shows all nodes."))
    "No node 'rack-9'. list_nodes shows all nodes."
    """

    def __init__(self, what: str, why: str = "", next_step: str = "") -> None:
        self.what = what
        self.why = why
        self.next_step = next_step
        self.about = ""
        self.service_says = ""
        self.nearest: Mapping[str, str] = {}
        super().__init__(" ".join(_sentence(part) for part in (what, why, next_step) if part))

    def naming(self, asked: str) -> Self:
        """The error with the id or name that it is about, native or as the caller gave it: who answers the call quotes
        the argument that holds it."""
        self.about = asked
        return self

    def saying(self, reason: str) -> Self:
        """The error with the service's own reason for it: data that is carried beside our text, never in it."""
        self.service_says = reason
        return self

    def near(self, names: Mapping[str, str]) -> Self:
        """The error with the ids that may be meant and their names, which are carried beside our text as well."""
        self.nearest = names
        return self


class BadInput(LabError):
    """An argument cannot be right: unknown name, wrong type, malformed handle."""


class ConfigError(LabError):
    """The config file, or a token it names, is missing or wrong."""


class Refused(LabError):
    """Not allowed: by this server's settings, or by the service for this user."""


class Unsupported(LabError):
    """No configured service, or not the one asked, can do this."""


class NotFound(LabError):
    """The service knows no such run, node, job, reservation, unit or procedure."""


class Gone(NotFound):
    """It existed and has been deleted."""


class Conflict(LabError):
    """Busy, or reserved by somebody: try another, wait, or ask the holder.

    `details` is a noun with the facts, what others wrote among them; it is carried beside the text, never in it. `own`
    are the handles of jobs and reservations of the service's user that are in the way.
    """

    def __init__(
        self, what: str, why: str = "", next_step: str = "", details: object = None, own: Sequence[str] = ()
    ) -> None:
        self.details = details
        self.own = own
        super().__init__(what, why, next_step)


class ServiceError(LabError):
    """A service did not answer as it should. `service` is its name in the config."""

    def __init__(self, service: str, what: str, why: str = "", next_step: str = "") -> None:
        self.service = service
        super().__init__(what, why, next_step)


class AuthError(ServiceError):
    """The service does not accept the token."""


class RateLimited(ServiceError):
    """The service asks to wait longer than a call may take; `retry_after` is in seconds."""

    def __init__(self, service: str, what: str, why: str = "", next_step: str = "", retry_after: float = 0) -> None:
        self.retry_after = retry_after
        super().__init__(service, what, why, next_step)


class ServiceDown(ServiceError):
    """No connection, no answer in time, or only 5xx."""


class AnswerLost(ServiceError):
    """A change was sent and its answer never came: it may or may not have happened.

    `look` asks again what became of it: its result once it is there, None while it is not. `status` is that of an HTTP
    answer that does not tell, 0 where there was none at all.
    """

    status = 0

    def __init__(
        self,
        service: str,
        what: str,
        why: str = "",
        next_step: str = "",
        look: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self.look = look
        super().__init__(service, what, why, next_step)


class BadReply(ServiceError):
    """The answer is not JSON, lacks a field, or has a status its documentation does not list."""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def nearest(name: str, names: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Up to `count` of the names, best first; none when nothing is alike by `cutoff` (0 to 1)."""
    return get_close_matches(name, list(names), count, cutoff)


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """`Did you mean 'portal'?`, or `otherwise` when no name is alike."""
    near = nearest(name, names)
    return f"Did you mean {near[0]!r}?" if near else otherwise
