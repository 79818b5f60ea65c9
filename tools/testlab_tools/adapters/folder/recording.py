"""Writes new runs into the folder, each as one file in the format `testlab-run`, and files beside it: whole or not at
all. A run of the same `ref` has the same file name, so it is written once."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from urllib.parse import unquote

from testlab_tools.adapters.folder.reading import make_id, to_micros
from testlab_tools.adapters.folder.run_files import name_attachments
from testlab_tools.adapters.folder.runs import FolderRuns, Row
from testlab_tools.capabilities import AttachmentSink, Foreseen, Keeping, KeptFile, RunSink
from testlab_tools.errors import ConfigError, LabError, ServiceDown
from testlab_tools.files.io import NEW, OpenFolder, read_file, too_large_error
from testlab_tools.models.lab import CreatedRun, StoredRun
from testlab_tools.models.requests import NewRun
from testlab_tools.reports.testlab_run import write_run

MAX_BYTES = 64 * 2**20
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*%]|^[. ]|[. ]$')
_PLAIN = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME = 200
_PLACES = ("station", "operator")


class FolderRecording(FolderRuns, RunSink, AttachmentSink):
    """New runs, and files with them."""

    keeps_reasons = True
    keeps_reports = True
    max_bytes = MAX_BYTES

    async def create_run(self, run: NewRun) -> CreatedRun:
        named = await self._name_procedure(run)
        variables = dict(run.variables)
        places = {name: variables[name] for name in _PLACES if name in variables}
        kept = tuple(item for item in named.variables if item[0] not in places)
        content = write_run(replace(named, variables=kept, ref=_ref_of(run)), **places)
        path = self._path_for(run)
        written = await asyncio.to_thread(self._write, path, content)
        self.looker.tell(path)
        note = f"Written as {path.name}." if written else "It was there already: nothing was written."
        return self._created(run, make_id(_ref_of(run)), note)

    def _write(self, path: Path, content: bytes) -> bool:
        try:
            return write_new(path, content)
        except OSError as error:
            raise self._cannot_write(error) from None

    async def find_created(self, run: NewRun) -> CreatedRun | None:
        """The run of that `ref`; else one of the same unit, procedure, outcome and times, whoever wrote it."""
        if await asyncio.to_thread(self._path_for(run).exists):
            return self._created(run, make_id(_ref_of(run)), "")
        await self.refresh()
        sql = (
            "SELECT run_id FROM runs WHERE run_id = ? OR (unit_folded = ? AND outcome = ? AND started = ? "
            "AND ended = ? AND (test_folded = ? OR procedure_folded = ?)) LIMIT 1"
        )
        procedure = run.procedure_id.casefold()
        times = (to_micros(run.started_at), to_micros(run.ended_at))
        params = (make_id(_ref_of(run)), run.serial_number.casefold(), run.outcome, *times, procedure, procedure)
        found = await self.query(self.index.rows, sql, params)
        return self._created(run, found[0][0], "") if found else None

    async def read_stored(self, run_id: str) -> StoredRun | None:
        row, _ = await self.find_run(run_id)
        sql = "SELECT count(*) FROM runs WHERE unit_folded = ? AND run_id <> ?"
        known = (await self.query(self.index.rows, sql, (row.unit.casefold(), run_id)))[0][0]
        return _describe_stored(row, bool(known))

    async def check_run(self, run: NewRun) -> Foreseen:
        """Whether it could be written now."""
        try:
            folder = self._folder()
            write_run(run)
        except LabError as error:
            return Foreseen([str(error)], [])
        writable = await asyncio.to_thread(os.access, folder, os.W_OK)
        return Foreseen([] if writable else [f"{self.name} cannot write to its folder"], [])

    async def attach(self, run_id: str, name: str, data: bytes, keeping: Keeping | None = None) -> None:
        """Into the folder `NAME.files` beside the report; the same file is kept once."""
        if len(data) > MAX_BYTES:
            raise too_large_error("The file", MAX_BYTES)
        folder = await self._attachments_of(run_id)
        if keeping is not None:
            await keeping()
        await asyncio.to_thread(self._keep, folder, name, data)

    def _keep(self, folder: Path, name: str, data: bytes) -> None:
        try:
            for number in range(1, 1_000):
                path = folder / encode_name(name, number)
                if write_new(path, data, make=True) or _holds(path, data):
                    return
        except OSError as error:
            raise self._cannot_write(error) from None
        raise self._cannot_write(OSError(errno.EEXIST, "too many files of that name"))

    async def list_attached(self, run_id: str) -> list[KeptFile]:
        folder = await self._attachments_of(run_id)
        return await asyncio.to_thread(_list_attached, folder)

    async def _attachments_of(self, run_id: str) -> Path:
        """The folder for a run's files: the run may have been written a moment ago, and not be in the index yet."""
        await self.refresh()
        request, _ = await self.request_for(run_id)
        return Path(request.root, *name_attachments(request).split("/"))

    def _folder(self) -> Path:
        """Where new runs go. Raises ConfigError where the config names no folder."""
        if self.write_to is None:
            raise ConfigError(
                f"{self.name} has no folder for new runs",
                f"[services.{self.name}] path names only globs",
                "Give write_to there.",
            )
        return Path(os.path.realpath(self.write_to))

    def _path_for(self, run: NewRun) -> Path:
        """The same for the same run: when it began, of which unit, and its id."""
        unit = _PLAIN.sub("-", run.serial_number).strip("-")[:60] or "unit"
        return self._folder() / f"{run.started_at:%Y%m%d-%H%M%S}_{unit}_{make_id(_ref_of(run))}.json"

    async def _name_procedure(self, run: NewRun) -> NewRun:
        """The run with the name that other reports give to its procedure's id, so that both count as one test."""
        if run.procedure_name:
            return run
        await self.refresh()
        sql = "SELECT test FROM runs WHERE procedure_folded = ? ORDER BY started DESC LIMIT 1"
        found = await self.query(self.index.rows, sql, (run.procedure_id.casefold(),))
        return replace(run, procedure_name=found[0][0]) if found and found[0][0] != run.procedure_id else run

    def _created(self, run: NewRun, run_id: str, note: str) -> CreatedRun:
        then = "get_failed_cases(run_id) reads it back." if run.outcome != "pass" else ""
        return CreatedRun(
            run_id=self.handle(run_id), procedure=run.procedure_name or run.procedure_id, note=note, next=then
        )

    def _cannot_write(self, error: OSError) -> ServiceDown:
        return ServiceDown(
            self.name,
            f"{self.name} cannot write to its folder ({error.strerror or type(error).__name__})",
            "Nothing was written",
            f"Make room or give permission, or change [services.{self.name}] write_to.",
        )


def _ref_of(run: NewRun) -> str:
    return run.report_ref or run.ref


def write_new(path: Path, data: bytes, *, make: bool = False) -> bool:
    """Write a file that appears only when it is whole and on the disk. Returns False, and writes nothing, where there
    is one of that name. With `make`, its folder is made as well.

    Raises:
        OSError: the folder is not there, or the system does not let it be written.
    """
    parent = Path(os.path.realpath(path.parent))
    if make:  # through no link, whoever put it there
        parent = Path(os.path.realpath(path.parent.parent)) / path.parent.name
        parent.mkdir(exist_ok=True)
    part = f".{token_hex(8)}.part"
    with closing(OpenFolder.at(parent)) as folder:
        if folder.has(path.name):
            return False
        descriptor = folder.open(part, NEW)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(descriptor, 0o644) if hasattr(os, "fchmod") else None
                os.fsync(descriptor)
            return _publish(folder, part, path.name)
        finally:
            folder.remove(part)


def _publish(folder: OpenFolder, part: str, name: str) -> bool:
    """Give the file its name, unless there is one of that name; not every file system has links."""
    try:
        folder.link(part, name)
    except FileExistsError:
        return False
    except OSError:
        if folder.has(name):
            return False
        folder.rename(part, name)
    if hasattr(os, "O_DIRECTORY"):  # the name, too, is on the disk before anyone is told of it
        descriptor = os.open(folder.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return True


def encode_name(name: str, number: int = 1) -> str:
    """A name for a file on any system, from which `unquote` makes the given one; the second of a name is `a (2).csv`.

    >>> encode_name("../trace.csv"), encode_name("trace.csv", 2)
    ('%2E.%2Ftrace.csv', 'trace (2).csv')
    """
    if number > 1:
        stem, dot, ending = name.rpartition(".")
        name = f"{stem} ({number}){dot}{ending}" if stem else f"{name} ({number})"
    safe = _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", name)
    if len(safe.encode()) <= _MAX_NAME:
        return safe
    return f"{make_id(name)}{os.path.splitext(safe)[1][:20]}"


def _holds(path: Path, data: bytes) -> bool:
    try:
        return read_file(Path(os.path.realpath(path)), len(data)) == data
    except LabError:
        return False


def _list_attached(folder: Path) -> list[KeptFile]:
    try:
        with os.scandir(folder) as entries:
            return [
                KeptFile(unquote(entry.name), entry.stat(follow_symlinks=False).st_size)
                for entry in entries
                if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".")
            ]
    except OSError:
        return []


def _describe_stored(row: Row, known: bool) -> StoredRun:
    return StoredRun(
        unit=row.unit,
        unit_is="known" if known else "new",
        part=row.part,
        part_revision=row.part_revision,
        procedure=row.test,
        outcome=row.outcome,  # pyright: ignore[reportArgumentType]
        started_at=row.started_at,
        duration_s=round(row.duration_s, 1),
        reason=row.reason,
    )
