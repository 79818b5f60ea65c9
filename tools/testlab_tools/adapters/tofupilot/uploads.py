"""Files on their way to TofuPilot: announced, PUT to a presigned URL without the token, then made use of.

The URL ends 60 s after it was given (comment in client 2.26.1); it is never kept, shown or part of an error.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable, Mapping

from testlab_tools.adapters.tofupilot.client import TofuPilotApi
from testlab_tools.adapters.tofupilot.models import Upload
from testlab_tools.capabilities import Keeping
from testlab_tools.errors import AnswerLost, BadInput, BadReply, RateLimited, Refused, ServiceDown
from testlab_tools.http import Reply
from testlab_tools.http.response import decode

MAX_BYTES = 10 * 2**20
"""Per file, in every one of the vendor's clients."""
IMPORTERS = frozenset({"OPENHTF", "WATS", "WSXF", "ATML", "TESTSTAND", "STDF", "ATDF"})


async def _nowhere(upload_id: str) -> bool:
    return False


async def put(
    api: TofuPilotApi,
    path: str,
    body: Callable[[str], Mapping[str, object]],
    name: str,
    data: bytes,
    keeping: Keeping | None = None,
    is_there: Callable[[str], Awaitable[bool]] = _nowhere,
) -> str:
    """Upload a file announced at `path`, and return the upload's id. `keeping` is awaited before its content is sent;
    `is_there` tells of an upload's id whether it is known to be where it belongs.

    An announcement that nothing uses harms nobody, so one whose answer was lost is made again, as is one whose URL has
    ended. The content goes once more to the same URL, which is the same file.
    """
    if len(data) > MAX_BYTES:
        raise BadInput("The file is larger than TofuPilot takes", f"It has {len(data)} bytes", f"At most {MAX_BYTES}.")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    for last in (False, True):
        upload = await _announced(api, path, body(kind))
        if keeping is not None:
            await keeping()
        try:
            stored = await _stored(api, upload, data, kind)
        except (AnswerLost, BadReply):
            if await is_there(upload.id):
                return upload.id
            raise
        if stored.status < 300 or await is_there(upload.id):
            return upload.id
        if last or stored.status != 403:
            raise _refused(api.name, stored)
    raise AssertionError("unreachable: the second upload returns or raises")


def doubtful(lost: AnswerLost) -> AnswerLost:
    """A file that may be with its run, and that could not be seen there."""
    return AnswerLost(
        lost.service,
        f"Whether {lost.service} keeps the file is not known: the answer was lost",
        lost.why,
        "Look at the run in TofuPilot before it is sent again: it would be there twice.",
    )


async def _announced(api: TofuPilotApi, path: str, body: Mapping[str, object]) -> Upload:
    try:
        reply = await api.change("POST", path, Upload, body=body)
    except AnswerLost:
        reply = await api.change("POST", path, Upload, body=body)
    return decode(api.check(reply, "upload", "Check the run's id.", act="take"), Upload)


async def _stored(api: TofuPilotApi, upload: Upload, data: bytes, kind: str) -> Reply:
    try:
        reply = await api.client.upload(upload.url, data, kind)
    except AnswerLost:
        return await api.client.upload(upload.url, data, kind)
    return await api.client.upload(upload.url, data, kind) if reply.status >= 500 else reply


def _refused(service: str, stored: Reply) -> Exception:
    """The store's own errors are XML and name keys and hosts: none of it is quoted."""
    what = f"The store of {service} did not take the file (HTTP {stored.status})"
    match stored.status:
        case 403:
            return Refused(what, "Its permission ends after 60 s, and holds for one size", "Call again.")
        case 413:
            return BadInput(what, "It is too large", "Leave it out.")
        case 429:
            return RateLimited(service, what, "", "Call again later.")
        case status if status >= 500:
            return ServiceDown(service, what, "", "Call again later.")
        case _:
            return BadReply(service, what)
