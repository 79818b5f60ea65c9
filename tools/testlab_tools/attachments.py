"""Files to keep with a run that has just been recorded: looked at before, sent after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from testlab_tools.capabilities import AttachmentSink, RunSink
from testlab_tools.errors import LabError, Unsupported
from testlab_tools.files import Folders
from testlab_tools.models import CreatedRun
from testlab_tools.reading import read_file

ATTACH_SECONDS = 20.0
"""What a call spends on sending files at most: the run is recorded by then."""


def files_to_attach(folders: Folders, paths: Sequence[str], sink: RunSink) -> list[Path]:
    """The files at these paths, each readable and small enough for the service now.

    Raises:
        Unsupported: the service takes no files.
        LabError: as `Folders.to_read` and `read_file`, of the first that cannot be sent.
    """
    if not paths:
        return []
    if not isinstance(sink, AttachmentSink):
        raise Unsupported(f"Service {sink.name} keeps no files with runs", "", "Leave attachments out.")
    files = [folders.to_read(path) for path in paths]
    for file in files:
        read_file(file, sink.most_bytes)
    return files


async def attached(sink: RunSink, run_id: str, created: CreatedRun, files: Sequence[Path]) -> CreatedRun:
    """Send the files, and say in the run's note which were not kept: the run is there without them."""
    if not files or not isinstance(sink, AttachmentSink):
        return created
    if not created.run_id:
        return _noted(created, "Its attachments were not sent: the run is not there yet.")
    missing = [file.name for file in files]
    why = f"there was no time for more within {ATTACH_SECONDS:.0f} s"
    try:
        async with asyncio.timeout(ATTACH_SECONDS):
            for file in files:
                await sink.attach(run_id, file.name, read_file(file, sink.most_bytes))
                missing.pop(0)
    except TimeoutError:
        pass
    except LabError as error:
        why = error.what
    return _noted(created, f"Not attached: {', '.join(missing)} ({why}).") if missing else created


def _noted(created: CreatedRun, note: str) -> CreatedRun:
    return created.model_copy(update={"note": f"{created.note} {note}".strip()})
