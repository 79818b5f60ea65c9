"""What is said when a service does not answer as it should: never its own words, an address or a secret. Its own reason
for a refusal is carried beside that, as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

import httpx2

from testlab_tools.errors import AnswerLost, BadReply, ConfigError, LabError, RateLimited, ServiceDown
from testlab_tools.http.policy import Again, Hung, retry_after
from testlab_tools.known_secrets import mask
from testlab_tools.untrusted import shorten

if TYPE_CHECKING:
    from testlab_tools.http.response import Reply


MAX_REASON = 300
"""Characters of a service's own reason."""
_QUERY = re.compile(r"(https?://[^\s?]+)\?\S*")


def reason_in(reply: Reply) -> str:
    """What the service itself says of a refusal, without the secrets that addresses and texts may hold. Empty where it
    says nothing in a form that JSON APIs have: message, issues, error or detail."""
    members = reply.members
    whole = [members.get(name) for name in ("message", "issues", "error", "detail")]
    return to_reason(*(text for part in whole for text in _texts(part)))


def to_reason(*texts: str) -> str:
    """Texts of a service as its reason for a refusal, each once."""
    return shorten(mask(_QUERY.sub(r"\1?…", "; ".join(dict.fromkeys(texts)))), MAX_REASON)


def _texts(part: object) -> Iterator[str]:
    """A text, or that of `{"message"}` or `{"msg", "loc"}`, or of each such in a list."""
    if isinstance(part, list):
        for item in cast("list[object]", part)[:5]:
            yield from _texts(item)
    elif isinstance(part, dict):
        told = cast("dict[str, object]", part)
        where = told.get("loc")
        place = f"{'.'.join(map(str, cast('list[object]', where)[:6]))}: " if isinstance(where, list) else ""
        yield from (f"{place}{text}" for name in ("message", "msg") for text in _texts(told.get(name)))
    elif isinstance(part, str) and part:
        yield part


def failure_of(service: str, error: Exception) -> LabError:
    """The failure of a read behind an exception of httpx2, or behind a timeout."""
    if isinstance(error, httpx2.InvalidURL):
        return ConfigError(f"Service {service}'s url is not a URL", "", "Mend it in the config file.")
    kind = Hung if isinstance(error, httpx2.TimeoutException | TimeoutError) else ServiceDown
    return kind(
        service,
        f"Service {service} cannot be reached",
        _cause(error),
        f"Nothing is known about its state. Check the network and [services.{service}] url.",
    )


def lost(service: str, method: str, why: str | Exception, status: int = 0) -> AnswerLost:
    """A change that was sent and got no answer of the service's own, or one whose HTTP status does not tell."""
    did = f"answered {status}" if status else "did not answer"
    error = AnswerLost(
        service,
        f"Service {service} was sent the change ({method}) and {did}",
        why if isinstance(why, str) else _cause(why),
        "It may or may not have happened: look before you try again.",
    )
    error.status = status
    return error


def broken_off(service: str, received: int, error: Exception) -> ServiceDown:
    """A body that began to come and did not end."""
    return ServiceDown(
        service,
        f"Service {service} broke off after {received} bytes",
        _cause(error),
        "What came is not whole. Call again.",
    )


def too_large(service: str, most_bytes: int) -> BadReply:
    """A body larger than the bound on it."""
    return BadReply(
        service,
        f"Service {service} sent more than {most_bytes // 2**20} MB",
        "It was cut off",
        "Ask for less: a shorter span, a smaller limit. `testlab-mcp doctor` tests the service.",
    )


def refuse_packing(service: str, headers: Mapping[str, str]) -> None:
    """Raise BadReply for a body packed otherwise than was offered: packed twice, some kilobytes are some gigabytes."""
    if headers.get("content-encoding", "").strip().casefold() not in ("", "identity", "gzip", "deflate"):
        raise BadReply(
            service,
            f"Service {service} compressed its answer in a way that was not offered",
            "",
            f"Check that [services.{service}] url points at the service itself; `testlab-mcp doctor` tests it.",
        )


def unsafe_place(service: str, why: Exception) -> BadReply:
    """A URL to send a file to that is not used; it is a secret as well, so it is not shown."""
    return BadReply(
        service,
        f"Service {service} asks for a file to be sent to a place that is not safe, and it was not sent",
        str(why),
        "Files go to https addresses, or to the service's own host, and not into a network it is not in itself.",
    )


def unlisted(service: str, status: int, what: str = "") -> BadReply:
    """A status that the service's documentation does not list for `what` was asked."""
    return BadReply(
        service,
        f"{service} answered {f'{what} ' if what else ''}with HTTP {status}, which its documentation does not list",
        "",
        f"Check that [services.{service}] url points at the service itself; `testlab-mcp doctor` tests it.",
    )


def foreign(service: str, kind: str, status: int) -> BadReply:
    """An answer that `kind` of service does not give: another server's, a proxy's, or another path's of the same."""
    return BadReply(
        service,
        f"What answers for service {service} is not {kind} (HTTP {status}, and not as its documentation has it)",
        "Nothing is known about what was asked for",
        f"Check [services.{service}] url: it may lead to another server or path. `testlab-mcp doctor` tests it.",
    )


def overloaded(service: str, status: int, headers: Mapping[str, str]) -> Again:
    """An answer to be asked for again, with what to say if it stays so."""
    asked = retry_after(headers)
    when = "" if asked is None else f"It asks to wait {asked:.0f} s"
    if status == 429:
        pause = f"Call again in {max(1, round(asked))} s." if asked else "Wait a few seconds and call again."
        return Again(RateLimited(service, f"Service {service} is limiting requests", when, pause, asked or 0), asked)
    down = ServiceDown(
        service,
        f"Service {service} is not available (HTTP {status})",
        when,
        "Call again later; `testlab-mcp doctor` shows its state.",
    )
    return Again(down, asked)


def limited(service: str, headers: Mapping[str, str]) -> RateLimited:
    """A 429 to a change, which is not sent again by itself."""
    asked = retry_after(headers) or 0
    return RateLimited(
        service, f"{service} is limiting requests", "", f"Call again in {max(5, round(asked))} s.", asked
    )


def refuse_redirect(service: str, status: int) -> None:
    """Raise BadReply for a redirect: following it could take the token elsewhere."""
    if 300 <= status < 400:
        raise BadReply(
            service,
            f"Service {service} answered with a redirect ({status})",
            "Redirects are not followed, so that the token goes nowhere else",
            f"Set [services.{service}] url to the address the service really has.",
        )


def _cause(error: Exception) -> str:
    return _CAUSES.get(type(error).__name__, type(error).__name__)


_CAUSES = {
    "ConnectError": "The connection was refused, or its name or certificate is wrong",
    "ConnectTimeout": "Connecting took too long",
    "PoolTimeout": "All connections stayed busy",
    "ReadTimeout": "It took too long to answer",
    "TimeoutError": "It took too long to answer",
    "WriteTimeout": "It took too long to take the request",
    "ReadError": "The connection broke",
    "WriteError": "The connection broke",
    "CloseError": "The connection broke",
    "RemoteProtocolError": "The connection was closed, or the answer was not HTTP",
    "DecodingError": "The answer's compression is damaged",
}
