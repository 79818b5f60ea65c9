"""Files of runs: the report itself, what is inside it, and what lies beside it: files of the report's name, a folder
`NAME.files`, and those that the report names, as far as they are within the folder. No link is followed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from testlab_tools.adapters.folder.places import ATTACHMENTS
from testlab_tools.adapters.folder.reading import READ, Request, open_below, read_report
from testlab_tools.adapters.folder.runs import FolderRuns
from testlab_tools.capabilities import ArtifactKeeper, Download, KeptFile, LogKeeper
from testlab_tools.errors import LabError, NotFound, ServiceDown

MAX_FILES = 1_000
_CHUNK = 2**18
_LOGS = (".log", ".txt")


class _File(NamedTuple):
    """A file of a run: below the root at `relative`, or the `inside`th attachment in the report (0: the log)."""

    name: str
    size: int | None
    relative: str = ""
    inside: int = -1


class FolderFiles(FolderRuns, LogKeeper, ArtifactKeeper):
    """Logs and artifacts of runs, as they lie in the folder now."""

    async def name_files(self, run_id: str) -> list[tuple[str, int | None]]:
        return [(file.name, file.size) for file in (await self._files_of(run_id))[0]]

    async def list_artifacts(self, run_id: str) -> list[KeptFile]:
        return [KeptFile(name, size) for name, size in await self.name_files(run_id)]

    @asynccontextmanager
    async def open_artifact(self, run_id: str, name: str) -> AsyncGenerator[Download, None]:
        files, request, nth = await self._files_of(run_id)
        file = next((file for file in files if file.name == name), None)
        if file is None:
            raise NotFound("The run has no such file", "", "get_artifact without a name lists its files.").naming(name)
        async with self._open(file, request, nth) as download:
            yield download

    @asynccontextmanager
    async def open_log(self, run_id: str, tz: str) -> AsyncGenerator[Download, None]:
        """The report's own log, else a file of the report's name that ends in `.log` or `.txt`; its times as they
        stand there."""
        files, request, nth = await self._files_of(run_id)
        logs = [file for file in files if file.inside == 0]
        logs += [file for suffix in _LOGS for file in files if file.name.casefold().endswith(suffix)]
        if not logs:
            raise NotFound(
                "The run left no log",
                "Its report holds none, and beside it lies no file of its name that ends in .log or .txt",
                "get_artifact lists its files.",
            ).naming(run_id)
        async with self._open(logs[0], request, nth) as download:
            yield download

    async def _files_of(self, run_id: str) -> tuple[list[_File], Request, int]:
        _, body = await self.find_run(run_id)
        request, nth = await self.request_for(run_id)
        reports = await self.query(self._reports_beside, request)
        files = await self.query(lambda: list(_list_files(request, body, reports)))
        return files, request, nth

    def _reports_beside(self, request: Request) -> set[str]:
        """The reports in the same folder, by their paths below the root."""
        prefix = request.key.removesuffix(PurePosixPath(request.key).name)
        stem = prefix + _stem(request.relative)
        sql = "SELECT key FROM files WHERE key >= ? AND key < ? AND state = ?"
        return {key.partition("/")[2] for (key,) in self.index.rows(sql, (stem, f"{stem}\U0010ffff", READ))}

    @asynccontextmanager
    async def _open(self, file: _File, request: Request, nth: int) -> AsyncGenerator[Download, None]:
        if file.inside >= 0:
            data = await self._read_inside(file, request, nth)
            yield Download(_give([data]))
            return
        try:
            descriptor = await asyncio.to_thread(open_below, request.root, file.relative)
        except OSError:
            raise NotFound("The file cannot be read", "It has gone, or this user may not", "").naming(
                file.name
            ) from None
        with os.fdopen(descriptor, "rb") as opened:
            yield Download(_read_chunks(opened.fileno()))

    async def _read_inside(self, file: _File, request: Request, nth: int) -> bytes:
        try:
            report = await asyncio.to_thread(read_report, request, nth)
        except (OSError, LabError):
            raise ServiceDown(
                self.name, "The report of the run cannot be read any more", "It has changed or gone", "Call again."
            ) from None
        if file.inside == 0:
            return report.log.encode("utf-8", "replace")
        return report.attachments[file.inside - 1].data if file.inside <= len(report.attachments) else b""


def _list_files(request: Request, body: dict[str, object], reports: set[str]) -> Iterator[_File]:
    """Each name once: the report, what lies beside it, what is in it."""
    seen: set[str] = set()
    for file in (*_beside(request, body, reports), *_inside(body)):
        if file.name not in seen:
            seen.add(file.name)
            yield file
        if len(seen) >= MAX_FILES:
            return


def _inside(body: dict[str, object]) -> Iterator[_File]:
    if body["log"]:
        yield _File("log (in the report)", None, inside=0)
    inside = body["inside"]
    assert isinstance(inside, list)
    for number, (name, size) in enumerate(inside, 1):  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
        yield _File(str(name), int(size), inside=number)  # pyright: ignore[reportUnknownArgumentType]


def _beside(request: Request, body: dict[str, object], reports: set[str]) -> Iterator[_File]:
    path = PurePosixPath(request.relative)
    folder = path if request.is_folder else path.parent
    root = os.path.realpath(request.root)
    stem = _stem(request.relative)
    if not request.is_folder:
        yield from _facts(root, request.relative, path.name)
    named = body["beside"]
    assert isinstance(named, list)
    for path in named:  # pyright: ignore[reportUnknownVariableType]
        yield from _facts(root, (folder / str(path)).as_posix(), str(path))  # pyright: ignore[reportUnknownArgumentType]
    for name in () if request.is_folder else sorted(_names_in(root, folder.as_posix())):
        relative = (folder / name).as_posix()
        if name.startswith(f"{stem}.") and relative not in reports:
            yield from _facts(root, relative, name)
    attached = name_attachments(request)
    for name in sorted(_names_in(root, attached)):
        if not name.startswith("."):
            yield from _facts(root, f"{attached}/{name}", unquote(name))


def name_attachments(request: Request) -> str:
    """The folder that a report's attachments are in, by its path below the root."""
    return f"{request.relative.rstrip('/')}{ATTACHMENTS}"


def _facts(root: str, relative: str, name: str) -> Iterator[_File]:
    """A regular file, reached through no link and within the root; else nothing."""
    if {"..", ""} & set(relative.split("/")):
        return
    try:
        descriptor = open_below(root, relative)
    except (OSError, ValueError):
        return
    try:
        yield _File(name, os.fstat(descriptor).st_size, relative)
    finally:
        os.close(descriptor)


def _names_in(root: str, below: str) -> list[str]:
    try:
        return [name for name in os.listdir(os.path.join(root, *below.split("/"))) if "/" not in name]
    except OSError:
        return []


def _stem(relative: str) -> str:
    """The name of a report without its ending.

    >>> _stem("lot/SN-1.2.json")
    'SN-1.2'
    """
    name = PurePosixPath(relative).name
    name = name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


async def _give(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _read_chunks(descriptor: int) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(os.read, descriptor, _CHUNK):
        yield chunk
