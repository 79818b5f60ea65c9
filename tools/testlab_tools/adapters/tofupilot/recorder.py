"""What both versions of TofuPilot do alike to record runs, and to keep files with them.

A file is announced, PUT to a presigned URL without the token, then made use of. The URL ends 60 s after it was given
(comment in client 2.26.1); it is never kept, shown or part of an error.
"""

from __future__ import annotations

import mimetypes
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence

from testlab_tools.adapters.tofupilot.client import TofuPilotApi
from testlab_tools.adapters.tofupilot.models import Attachment, Upload
from testlab_tools.capabilities import AttachmentSink, Keeping, KeptFile, ReportImporter, RunSink
from testlab_tools.errors import AnswerLost, BadInput, BadReply, LabError, RateLimited, Refused, ServiceDown
from testlab_tools.http import Reply
from testlab_tools.http.response import decode
from testlab_tools.models.lab import CreatedRun
from testlab_tools.models.requests import NewRun

MAX_BYTES = 10 * 2**20
"""Per file, in every one of the vendor's clients."""


class Recorder(TofuPilotApi, RunSink, AttachmentSink, ReportImporter):
    """What both versions do alike to record runs, and to keep files with them."""

    max_bytes = MAX_BYTES
    importers = frozenset({"OPENHTF", "WATS", "WSXF", "ATML", "TESTSTAND", "STDF", "ATDF"})
    """v1's document names OPENHTF; a server without another answers 400."""

    @abstractmethod
    async def files_of(self, run_id: str) -> Sequence[Attachment] | None:
        """The files of a run; None where the service does not tell."""

    async def list_attached(self, run_id: str) -> list[KeptFile] | None:
        files = await self.files_of(run_id)
        return None if files is None else [KeptFile(file.name, file.size) for file in files]

    async def has_file(self, run_id: str, upload_id: str) -> bool:
        """Whether it is known to be with the run."""
        try:
            return any(file.id == upload_id for file in await self.files_of(run_id) or ())
        except LabError:
            return False

    async def upload(
        self,
        path: str,
        announced: Mapping[str, object],
        name: str,
        data: bytes,
        keeping: Keeping | None = None,
        is_there: Callable[[str], Awaitable[bool]] | None = None,
    ) -> str:
        """Upload a file announced at `path`, and return the upload's id. `keeping` is awaited before its content is
        sent; `is_there` tells of an upload's id whether it is known to be where it belongs.

        An announcement that nothing uses harms nobody, so one whose answer was lost is made again, as is one whose URL
        has ended. The content goes once more to the same URL, which is the same file.
        """
        if len(data) > MAX_BYTES:
            what = "The file is larger than TofuPilot takes"
            raise BadInput(what, f"It has {len(data)} bytes", f"At most {MAX_BYTES}.")
        last = False
        while True:
            reply = await self.change("POST", path, Upload, twice=True, body=announced)
            upload = decode(self.check(reply, "upload", "Check the run's id.", act="take"), Upload)
            if keeping is not None:
                await keeping()
            try:
                stored = await self._store(upload, data, media_type(name))
            except (AnswerLost, BadReply):
                if is_there and await is_there(upload.id):
                    return upload.id
                raise
            if stored.status < 300 or (is_there and await is_there(upload.id)):
                return upload.id
            if last or stored.status != 403:
                raise _not_stored(self.name, stored.status)
            last = True

    async def _store(self, upload: Upload, data: bytes, kind: str) -> Reply:
        try:
            reply = await self.client.upload(upload.url, data, kind)
        except AnswerLost:
            return await self.client.upload(upload.url, data, kind)
        return await self.client.upload(upload.url, data, kind) if reply.status >= 500 else reply

    def created(self, run: NewRun, run_id: str, procedure: str, note: str) -> CreatedRun:
        """A run that is recorded, by its native id."""
        then = "get_failed_cases(run_id) reads it back." if run.outcome != "pass" else ""
        return CreatedRun(run_id=self.handle(run_id), procedure=procedure, note=note, next=then)


def media_type(name: str) -> str:
    """What a file is, by its name."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def doubtful(lost: AnswerLost) -> AnswerLost:
    """A file that may be with its run, and that could not be seen there."""
    return AnswerLost(
        lost.service,
        f"Whether {lost.service} keeps the file is not known: the answer was lost",
        lost.why,
        "Look at the run in TofuPilot before it is sent again: it would be there twice.",
    )


def _not_stored(service: str, status: int) -> LabError:
    """The store's own errors are XML and name keys and hosts: none of it is quoted."""
    what = f"The store of {service} did not take the file (HTTP {status})"
    match status:
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
