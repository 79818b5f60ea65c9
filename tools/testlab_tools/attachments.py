"""Files to keep with a run: read before it is recorded, sent after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from testlab_tools.capabilities import AttachmentSink, RunSink
from testlab_tools.errors import LabError, Unsupported
from testlab_tools.files import Folders
from testlab_tools.reading import read_file
from testlab_tools.reports.report import Attachment

ATTACH_SECONDS = 20.0
"""What a call spends on sending files at most: the run is recorded by then."""


def files_to_attach(folders: Folders, paths: Sequence[str], sink: RunSink) -> list[Attachment]:
    """The files at these paths, each small enough for the service.

    Raises:
        Unsupported: the service takes no files.
        LabError: as `Folders.to_read` and `read_file`, of the first that cannot be sent.
    """
    if not paths:
        return []
    if not isinstance(sink, AttachmentSink):
        raise Unsupported(f"Service {sink.name} keeps no files with runs", "", "Leave attachments out.")
    files = [folders.to_read(path) for path in paths]
    return [Attachment(file.name, read_file(file, sink.most_bytes)) for file in files]


async def attach_now(
    sink: RunSink, run_id: str, files: Sequence[Attachment], seconds: float
) -> tuple[Sequence[str], str]:
    """Send the files within so many seconds, to a run that is there without them: names of those that were not kept,
    and why."""
    if not isinstance(sink, AttachmentSink):
        return [file.name for file in files], "its service keeps none"
    left = [file.name for file in files]
    why = ""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            for file in files:
                await sink.attach(run_id, file.name, file.data)
                left.pop(0)
    except TimeoutError:
        why = f"there was no time for more within {seconds:.0f} s"
    except LabError as error:
        why = error.what
    return left, why
