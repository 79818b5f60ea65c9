"""What both versions of the TofuPilot API share: what their status codes mean, and how an outcome is sent."""

from __future__ import annotations

import re
from typing import cast
from urllib.parse import quote

from testlab_tools.capabilities import Service
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
from testlab_tools.http.failures import limited, unlisted

SENT: dict[str, str] = {"pass": "PASS", "fail": "FAIL", "error": "ERROR", "stopped": "ABORTED", "skip": "SKIP"}
SENT_MEASUREMENT: dict[str, str] = {"pass": "PASS", "fail": "FAIL", "unset": "UNSET"}
IDENTIFIER = re.compile(r"[a-zA-Z0-9_.:+-]{1,60}")
"""Serial, part and revision numbers ("Create a run"); compared without regard to case."""


class TofuPilotApi(Service):
    """Shared by v1 and v2."""

    kind = "tofupilot"

    def checked(self, reply: Reply, what: str, missing: str = "") -> Reply:
        """The reply if it is a success; otherwise raises what its status means for `what`, in our words."""
        if reply.status in (200, 201, 204):
            return reply
        raise self.failure(reply, what, missing)

    def failure(self, reply: Reply, what: str, missing: str = "") -> LabError:
        """The error behind a status. The service's own message is not quoted: it may hold anybody's text."""
        name = self.name
        match reply.status:
            case 400 | 422:
                fields = _fields(reply)
                return BadInput(
                    f"{name} does not accept the {what} (HTTP {reply.status})",
                    f"It objects to: {', '.join(fields)}" if fields else "",
                    missing or "Check the arguments' values.",
                )
            case 401:
                return AuthError(
                    name,
                    f"{name} does not accept the token",
                    "It is missing, wrong or revoked",
                    f"Make an API key in TofuPilot's settings and set it for [services.{name}].",
                )
            case 403:
                return Refused(
                    f"{name} does not let this key touch the {what}",
                    "",
                    "A station's key must be linked to the procedure.",
                )
            case 404:
                return NotFound(
                    f"{name} has no such {what}", "", missing or f"Check the ids; [services.{name}] url may be wrong."
                )
            case 409:
                return Conflict(f"{name} already has this {what}", "", "list_runs(unit=…) shows what is there.")
            case 429:
                return limited(name, reply.headers)
            case 408:
                return ServiceDown(name, f"{name} took too long over the {what}", "", "Ask for less: a shorter span.")
            case status if status >= 500:
                return ServiceDown(name, f"{name} failed over the {what} (HTTP {status})", "", "Call again later.")
            case status:
                return unlisted(name, status)


def still_there(lost: AnswerLost, what: str) -> AnswerLost:
    """A deletion whose answer was lost, and that did not happen as far as can be seen."""
    return AnswerLost(
        lost.service,
        f"{lost.service} did not answer, and the {what} is still there",
        lost.why,
        "It is safe to call again.",
    )


def segment(name: str) -> str:
    """A name as one segment of a path, whatever is in it. Raises BadInput for one that a path cannot hold."""
    if name in ("", ".", ".."):
        raise BadInput("That is no serial number, nor any id", "", "list_runs shows runs and their units.")
    return quote(name, safe="")


def checked_identifier(value: str, what: str) -> str:
    """A serial, part or revision number of a form TofuPilot takes. Raises BadInput otherwise."""
    if not IDENTIFIER.fullmatch(value):
        raise BadInput(
            f"{what} is not one TofuPilot takes", "", "1 to 60 letters, digits and _ . : + - (no spaces or slashes)."
        )
    return value


def _fields(reply: Reply) -> list[str]:
    """The fields a v2 error objects to (`issues[].path`), as far as they are names we send: it may hold any text."""
    try:
        body = reply.json()
        paths = [_path(issue["path"]) for issue in body["issues"] if issue.get("path")]
    except (BadReply, KeyError, TypeError, AttributeError):
        return []
    return [path for path in dict.fromkeys(paths) if path][:5]


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
