"""Files on their way to TofuPilot: announced, PUT to a presigned URL without the token, then made use of.

The URL ends 60 s after it was given (comment in client 2.26.1); it is never kept, shown or part of an error.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping

from testlab_tools.errors import AnswerLost, BadInput, BadReply, RateLimited, Refused, ServiceDown
from testlab_tools.http import Reply
from testlab_tools.tofupilot.api import TofuPilotApi
from testlab_tools.tofupilot.models import Upload
from testlab_tools.wire import decode

MAX_BYTES = 10 * 2**20
"""Per file, in every one of the vendor's clients."""
IMPORTERS = frozenset({"OPENHTF", "WATS", "WSXF", "ATML", "TESTSTAND", "STDF", "ATDF"})


async def put(api: TofuPilotApi, path: str, body: Callable[[str], Mapping[str, object]], name: str, data: bytes) -> str:
    """Upload a file announced at `path`, and return the upload's id. One that nothing uses harms nobody, so a URL that
    has ended, or an answer that was lost, leads to a second upload."""
    if len(data) > MAX_BYTES:
        raise BadInput("The file is larger than TofuPilot takes", f"It has {len(data)} bytes", f"At most {MAX_BYTES}.")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    for last in (False, True):
        try:
            reply = api.checked(await api.client.send("POST", path, body=body(kind)), "upload", "Check the run's id.")
            upload = decode(reply, Upload)
            stored = await api.client.upload(upload.url, data, kind)
        except AnswerLost:
            if last:
                raise
            continue
        if stored.status < 300:
            return upload.id
        if last or stored.status != 403:
            raise _refused(api.name, stored)
    raise AssertionError("unreachable: the second upload returns or raises")


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
