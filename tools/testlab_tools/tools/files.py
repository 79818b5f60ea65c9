"""Tools about what a run leaves: its log, and the files that it kept."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field

from testlab_tools.capabilities import ArtifactKeeper, KeptFile, LogKeeper
from testlab_tools.files.artifacts import (
    TEXT_CHARS,
    choose_path,
    decode_text,
    find_artifact,
    read_head,
    read_picture,
    save_artifact,
)
from testlab_tools.files.io import Writer
from testlab_tools.files.logs import LogReading, Matches, Tail
from testlab_tools.files.logs import read_log as read
from testlab_tools.files.pictures import prepare_picture
from testlab_tools.models.results import Artifact, LogExcerpt, RunFile
from testlab_tools.registry import LOOK, Call, Illustrated, tool
from testlab_tools.times import check_zone
from testlab_tools.tools.arguments import RunId

LISTED = 100


@tool(toolset="runs", access="observe", needs=LogKeeper, hints=LOOK)
async def read_log(
    call: Call,
    run_id: RunId,
    tail: Annotated[int, Field(ge=1, le=1000)] = 100,
    search: Annotated[str, Field(max_length=200, description="Plain text, any case")] = "",
    last: Annotated[int, Field(ge=0, le=50, description="Only the last matches")] = 0,
    context: Annotated[int, Field(ge=0, le=20)] = 2,
    tz: str = "UTC",
) -> LogExcerpt:
    """Read a run's log: its last lines, or those around every match of search, numbered as by grep -n.

    get_artifact saves whole logs.
    """
    keeper, native = call.lab.run_owner(run_id, LogKeeper)
    selector = Matches(search, context, last) if search else Tail(tail)
    async with keeper.open_log(native, check_zone(tz, "tz")) as log:
        seconds = call.deadline.long_step()
        reading = await read(log.chunks, selector, seconds)
        reading.certain = log.says_its_end
    matches = selector.count if isinstance(selector, Matches) else None
    wanted = matches if not last or matches is None else min(matches, last)
    lines = selector.shown()
    return LogExcerpt(
        run_id=keeper.handle(native),
        total_lines=reading.lines,
        total_bytes=reading.bytes,
        matches=matches,
        lines=lines,
        note=_note_cuts(reading, seconds, lines, tail if matches is None else None, wanted),
    )


@tool(toolset="runs", access="observe", needs=ArtifactKeeper, hints=LOOK)
async def get_artifact(
    call: Call,
    run_id: RunId,
    name: Annotated[str, Field(description="Empty, or folder/: list them")] = "",
    save_to: Annotated[str, Field(description="File, or folder/")] = "",
) -> Illustrated[RunFile]:
    """Get a file that a run kept: shows an image or a text's beginning; save_to writes any file whole.

    Never overwrites. finished=false: repeat the call.
    """
    keeper, native = call.lab.run_owner(run_id, ArtifactKeeper)
    files = await keeper.list_artifacts(native)
    if not name or name.endswith("/"):
        below = [file for file in files if file.name.startswith(name)]
        return Illustrated(_list_artifacts(keeper.handle(native), below))
    file = find_artifact(files, name)
    if save_to:
        return Illustrated(await _save(call, keeper, native, file, save_to))
    return await _show(keeper, native, file)


def _note_cuts(reading: LogReading, seconds: float, lines: str, tail: int | None, matches: int | None) -> str:
    count = lines.count("\n") + 1 if lines else 0
    notes: list[str] = []
    if not reading.whole:
        notes.append(f"Reading stopped after {seconds:.0f} s: the counts and lines are of what came until then.")
    elif not reading.certain:
        notes.append("The service did not say where the log ends: that it is whole is not certain.")
    if tail is not None and count < min(tail, reading.lines):
        notes.append(f"Only the last {count} lines fit.")
    fit = sum(line.lstrip("0123456789").startswith(":") for line in lines.split("\n"))
    if matches is not None and fit < matches:
        notes.append(f"{fit} of {matches} matches fit, the first and the last: search for more text.")
    return " ".join(notes)


def _list_artifacts(run_id: str, files: list[KeptFile]) -> RunFile:
    artifacts = [Artifact(name=file.name, size=file.size) for file in files[:LISTED]]
    note = f"The first {LISTED} of {len(files)}: give a folder/ as name." if len(files) > LISTED else ""
    return RunFile(run_id=run_id, artifacts=artifacts, total=len(files), note=note)


async def _save(call: Call, keeper: ArtifactKeeper, native: str, file: KeptFile, save_to: str) -> RunFile:
    target = call.files.to_write(choose_path(save_to, file.name))
    assert target is not None, "save_to is not empty here"

    async def work(out: Writer) -> None:
        await save_artifact(keeper, native, file, out)

    async def watch(size: int) -> None:
        await call.progress(size, file.size or size, f"{size} bytes saved")

    key = (keeper.name, native, file.name)
    state = await call.files.transfers.run(target, key, work, watch, call.deadline.long_step())
    return RunFile(
        run_id=keeper.handle(native),
        name=file.name,
        size=file.size,
        saved_to=str(target) if state.finished else "",
        finished=state.finished,
        note="" if state.finished else f"{state.size} bytes so far; it goes on.",
        next="" if state.finished else "Call again with the same arguments.",
    )


async def _show(keeper: ArtifactKeeper, native: str, file: KeptFile) -> Illustrated[RunFile]:
    async with keeper.open_artifact(native, file.name) as download:
        head = await read_head(download.chunks)
        image = await read_picture(download.chunks, head)
    text, note, small = "", "Neither text nor an image that can be shown: save_to writes it to a file.", None
    if image is not None:
        small = await asyncio.to_thread(prepare_picture, image, "The image", "model")
        note = small.facts
    elif (found := decode_text(head)) is not None:
        text, whole = found[:TEXT_CHARS], len(head) == (file.size or len(head))
        note = "" if whole and text == found else f"Its first {len(text)} characters: save_to writes all to a file."
    answer = RunFile(run_id=keeper.handle(native), name=file.name, size=file.size, text=text, note=note)
    return Illustrated(answer, small.image if small else None)
