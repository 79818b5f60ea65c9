"""What both versions of the TofuPilot API share: what their status codes mean, and how an outcome is sent.

A run is created once, whatever becomes of the answer.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import quote

from testlab_tools.errors import (
    AnswerLost,
    AuthError,
    BadInput,
    BadReply,
    Conflict,
    LabError,
    NotFound,
    Refused,
    ServiceDown,
)
from testlab_tools.http import Reply
from testlab_tools.http.errors import foreign, limited, reason_in, unlisted
from testlab_tools.http.policy import look_up
from testlab_tools.http.response import decode
from testlab_tools.services import HttpService

SENT: dict[str, str] = {"pass": "PASS", "fail": "FAIL", "error": "ERROR", "stopped": "ABORTED", "skip": "SKIP"}
SENT_MEASUREMENT: dict[str, str] = {"pass": "PASS", "fail": "FAIL", "unset": "UNSET"}
SUCCESSES = frozenset({200, 201, 204})
REFUSALS = frozenset({400, 401, 403, 404, 409, 422})
"""With these, nothing was done. 408 and 429 may as well be a proxy's, after the work."""
REASONED = frozenset({400, 404, 409, 422})
"""With these, the service's own reason is carried beside ours."""
IDENTIFIER = re.compile(r"[a-zA-Z0-9_.:+-]{1,60}")
"""Serial, part and revision numbers ("Create a run"); compared without regard to case."""


class TofuPilotApi(HttpService):
    """Shared by v1 and v2."""

    kind = "tofupilot"
    version: str
    """Of the API: v1 or v2."""

    @abstractmethod
    def is_own_error(self, reply: Reply) -> bool:
        """Whether an error's body has the form that this version documents: no other server's, and no proxy's."""

    async def change(
        self, method: str, path: str, shape: type[object] | None, *, twice: bool = False, **request: Any
    ) -> Reply:
        """Send a change with its `params` or `body`; once more when its answer was lost, if it does no harm `twice`.

        Raises AnswerLost unless the answer is a success of the documented `shape` (None: no source tells it), or a
        refusal of the service's own.
        """

        def settles(reply: Reply) -> bool:
            if reply.status in SUCCESSES:
                return shape is None or _has_shape(reply, shape)
            return reply.status == 401 or (reply.status in REFUSALS and self.is_own_error(reply))

        try:
            return await self.client.send(method, path, settled=settles, **request)
        except AnswerLost:
            if not twice:
                raise
        return await self.client.send(method, path, settled=settles, **request)

    async def delete(
        self,
        path: str,
        shape: type[object],
        what: str,
        missing: str,
        find: Callable[[], Awaitable[object]],
        about: str,
        **request: Any,
    ) -> None:
        """Delete `what`, whose id or name is `about`. Where the answer was lost, it is gone if `find` raises NotFound.

        Raises AnswerLost when it is still there as far as can be seen, or cannot be looked up.
        """
        try:
            reply = await self.change("DELETE", path, shape, **request)
        except AnswerLost as lost:
            try:
                await find()
            except NotFound:
                return
            except LabError as error:
                raise AnswerLost(
                    self.name,
                    f"Whether {self.name} deleted the {what} is not known: the answer was lost",
                    f"It could not be looked up: {error.what}",
                    "list_runs(unit=…) shows what is there. It is safe to call again.",
                ) from None
            unanswered = f"{self.name} did not answer, and the {what} is still there"
            raise AnswerLost(self.name, unanswered, lost.why, "It is safe to call again.") from None
        self.check(reply, what, missing, about=about, act="delete")

    def check(
        self,
        reply: Reply,
        what: str,
        missing: str = "",
        *,
        about: str = "",
        act: str = "change",
        listing: bool = False,
    ) -> Reply:
        """The reply if it is a success; otherwise raises what its status means for `what`, in our words.

        `about` is its id or name, which a 404 quotes. `listing`: no documentation has a 404 for it, so whoever answers
        so does not know the list.
        """
        if reply.status in SUCCESSES:
            return reply
        failure = self._failure(reply, what, missing, act, listing)
        if isinstance(failure, NotFound):
            failure.naming(about)
        raise failure.saying(reason_in(reply)) if reply.status in REASONED and self.is_own_error(reply) else failure

    def _failure(self, reply: Reply, what: str, missing: str, act: str, listing: bool) -> LabError:
        """The error behind a status. The service's own message is not part of it: it may hold anybody's text."""
        name = self.name
        own = self.is_own_error(reply) and not (listing and reply.status == 404)
        match reply.status:
            case 401:
                return AuthError(
                    name,
                    f"{name} does not accept the token",
                    "It is missing, wrong or revoked",
                    f"Make an API key in TofuPilot's settings and set it for [services.{name}].",
                )
            case status if status in REFUSALS and not own:
                return foreign(name, f"TofuPilot with API {self.version}", status)
            case 400 | 422:
                fields = fields_in(reply)
                return BadInput(
                    f"{name} does not accept the {what} (HTTP {reply.status})",
                    f"It objects to: {', '.join(fields)}" if fields else "",
                    missing or "Check the arguments' values.",
                )
            case 403:
                return Refused(
                    f"{name} does not let this key touch the {what}",
                    "",
                    "A station's key must be linked to the procedure.",
                )
            case 404:
                return NotFound(f"{name} has no such {what}", "", missing or "Check the ids.")
            case 409:
                return Conflict(
                    f"{name} refused to {act} the {what} (HTTP 409)",
                    "Something that is there stands against it",
                    "Nothing was done: get_unit and list_runs(unit=…) show what is there.",
                )
            case 429:
                return limited(name, reply.headers)
            case 408:
                return ServiceDown(name, f"{name} took too long over the {what}", "", "Ask for less: a shorter span.")
            case status if status >= 500:
                return ServiceDown(name, f"{name} failed over the {what} (HTTP {status})", "", "Call again later.")
            case status:
                return unlisted(name, status)


def unknown_change(lost: AnswerLost) -> AnswerLost:
    """A change of a unit whose answer was lost, and that cannot be looked up."""
    return AnswerLost(
        lost.service,
        f"Whether {lost.service} changed the unit is not known: the answer was lost",
        lost.why,
        "get_unit shows what it tells of it. The same change again does no harm.",
    )


def segment(name: str) -> str:
    """A name as one segment of a path, whatever is in it. Raises BadInput for one that a path cannot hold."""
    if name in ("", ".", ".."):
        raise BadInput("That is no serial number, nor any id", "", "list_runs shows runs and their units.")
    return quote(name, safe="")


def unit_segment(serial_number: str) -> str:
    """A serial number as one segment of a path. Raises BadInput for what TofuPilot takes for none, as servers take a
    slash for one of the path's own, however it is written."""
    if "/" in serial_number:
        raise BadInput("That is no serial number", "It has a slash in it", "list_runs shows runs and their units.")
    return segment(serial_number)


def check_identifier(value: str, what: str) -> str:
    """A serial, part or revision number of a form TofuPilot takes. Raises BadInput otherwise."""
    if not IDENTIFIER.fullmatch(value):
        raise BadInput(
            f"{what} is not one TofuPilot takes", "", "1 to 60 letters, digits and _ . : + - (no spaces or slashes)."
        )
    return value


def fields_in(reply: Reply) -> list[str]:
    """The fields a v2 error objects to (`issues[].path`), as far as they are names we send: it may hold any text."""
    try:
        body = reply.json()
        paths = [_path(issue["path"]) for issue in body["issues"] if issue.get("path")]
    except (BadReply, KeyError, TypeError, AttributeError):
        return []
    return [path for path in dict.fromkeys(paths) if path][:5]


def _has_shape(reply: Reply, shape: type[object]) -> bool:
    try:
        decode(reply, shape)
    except BadReply:
        return False
    return True


def _path(path: object) -> str:
    parts = cast(list[object], path) if isinstance(path, list) else str(path).split(".")
    known = all(isinstance(part, int) or str(part) in _FIELDS or str(part).isdecimal() for part in parts)
    return ".".join(str(part) for part in parts)[:60] if known else ""


_FIELDS = frozenset(
    re.findall(
        r"\w+",
        """
        procedure_id serial_number outcome started_at ended_at client_run_ref part_number revision_number batch_number
        procedure_version docstring sub_units metadata phases name retry_count measurements measured_value units
        validators operator expected_value child_serial_number sample items upload_id importer ids serial_numbers
        part_numbers procedure_ids created_by_station_ids outcomes started_after started_before search_query limit
        cursor sort_by sort_order run_ids id
        """,
    )
)
"""What is sent to v2, of which alone an error may speak."""


Send = Callable[[], Awaitable[Reply]]
Find = Callable[[], Awaitable[str]]
LOOKS = (0.0, 1.0, 3.0)
"""Seconds before each look for a run whose answer was lost: the service may still be at it."""
FOUND = "The answer was lost; this is the run as the service has it."


async def record(send: Send, find: Find, *, has_ref: bool) -> Reply | str:
    """Send a run; the reply, or the id of the run that `find` found to be there.

    Where the service knows it again by its `client_run_ref` (`has_ref`), it is sent once more when the answer was lost
    and the run is not there, and a 409 means the run or something else in it is there already: it is the run if `find`
    finds it. Once an answer was lost, no other can say that the run is not there. A run that the service would take
    twice is sent once. Where no answer tells, the run is looked for.
    """
    try:
        reply = await send()
    except AnswerLost as lost:
        if not has_ref:
            return await _look(lost, find)
        if found := await _found_now(find):
            return found
        try:
            reply = await send()
        except AnswerLost as again:
            return await _look(again, find)
        return reply if reply.status in SUCCESSES else await _found_now(find) or reply
    return (await find() or reply) if has_ref and reply.status == 409 else reply


def same_moment(one: datetime, other: datetime) -> bool:
    """Equal to the millisecond, which is all that is sent; either may have been rounded."""
    return abs(one - other) < timedelta(milliseconds=2)


def stamp(moment: datetime) -> str:
    """ISO 8601 UTC to the millisecond, `Z` at its end."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _found_now(find: Find) -> str:
    """The id of the run, if it is known to be there."""
    try:
        return await find()
    except LabError:
        return ""


async def _look(lost: AnswerLost, find: Find) -> str:
    service = lost.service
    try:
        if found := await look_up(find, LOOKS):
            return found
    except LabError as error:
        raise AnswerLost(
            service,
            f"Whether {service} recorded the run is not known: the answer was lost",
            f"It could not be looked up: {error.what}",
            "Do not record it again before list_runs(unit=…) has shown whether it is there.",
        ) from None
    raise AnswerLost(
        service,
        f"{service} {f'answered {lost.status}' if lost.status else 'did not answer'}, and the run is not there",
        "It was looked for by serial number, procedure and start time",
        "Record it again with the same started_at, once list_runs(unit=…) still does not show it.",
    )
