"""The manifest of a history: which files belong to it, as JSON that is replaced at once at each commit."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from testlab_tools.archive.schema import TABLES, VERSION, Table
from testlab_tools.archive.store import HistoryState
from testlab_tools.errors import LabError
from testlab_tools.files.io import replace_file

NAME = "manifest.json"
FORMAT: Literal["testlab-mcp history"] = "testlab-mcp history"
MAX_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1 << 20


class StoredFile(BaseModel):
    """A Parquet file of one table and month; `first` and `last` are the earliest and latest `started_at`, with zone."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(pattern=r"^[a-z]+-\d{4,6}-\d{2}-[0-9a-f]{16}\.parquet$")
    table: Table
    month: str
    rows: int = Field(ge=1)
    size_bytes: int
    crc: int
    first: datetime
    last: datetime


class Manifest(BaseModel):
    """What a history consists of. `retired` are files of earlier generations that may still be read, by when they
    were given up (seconds since 1970); `lost` says why an earlier history was thrown away, until the next commit."""

    model_config = ConfigDict(frozen=True)

    format: Literal["testlab-mcp history"] = FORMAT
    version: int = VERSION
    history: str
    generation: int = 0
    files: tuple[StoredFile, ...] = ()
    retired: Mapping[str, float] = {}
    sync: Mapping[str, Any] = {}
    lost: str = ""

    def files_of(self, table: Table) -> list[StoredFile]:
        """The files of one table."""
        return [file for file in self.files if file.table == table]

    def state(self) -> HistoryState:
        """What is held, in the words of the store."""
        runs = self.files_of("runs")
        return HistoryState(
            rows={table: sum(file.rows for file in self.files_of(table)) for table in TABLES},
            size_bytes=sum(file.size_bytes for file in self.files),
            first=min((file.first for file in runs), default=None),
            last=max((file.last for file in runs), default=None),
            sync=self.sync,
            lost=self.lost,
        )

    def write(self, folder: Path) -> None:
        """Replace the folder's manifest; the files it names are on the disk already. Raises OSError."""
        document = self.model_dump(mode="json", exclude={"sync"}) | {"sync": dict(self.sync)}
        replace_file(folder / NAME, json.dumps(document))
        sync_folder(folder)


def read_manifest(folder: Path, history: str) -> Manifest:
    """The manifest of a history's folder, an empty one where there is none. One that is damaged, of another version or
    of another history is empty as well, and its `lost` says so."""
    try:
        with (folder / NAME).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        orphans = any(folder.glob("*.parquet"))
        return Manifest(history=history, lost="its list of files was missing" if orphans else "")
    except OSError as error:
        raise LabError(
            f"History cannot be read: {os.strerror(error.errno or 0)}",
            "The system does not let its folder be read",
            f"Make {folder} one that the server's user may read and write, or move it with [archive] path.",
        ) from None
    try:
        document = json.loads(content)
        if not isinstance(document, dict) or document.get("format") != FORMAT:  # pyright: ignore[reportUnknownMemberType]
            return Manifest(history=history, lost="its list of files was not of this server")
        if document.get("version") != VERSION:  # pyright: ignore[reportUnknownMemberType]
            return Manifest(history=history, lost="it was written by another version")
        found = Manifest.model_validate(document)
    except (ValueError, RecursionError, ValidationError):
        return Manifest(history=history, lost="its list of files was damaged")
    if found.history != history:
        return Manifest(history=history, lost="its list of files was of another history")
    return found


def describe_damage(folder: Path, file: StoredFile, *, content: bool) -> str:
    """What is wrong with a file: '' where it is as it was written. With `content`, all of it is read. Blocks."""
    path = folder / file.name
    try:
        if path.stat().st_size != file.size_bytes:
            return f"{file.name} was cut or changed"
        return f"{file.name} was changed" if content and checksum(path) != file.crc else ""
    except FileNotFoundError:
        return f"{file.name} was missing"
    except OSError as error:
        return f"{file.name} cannot be read ({os.strerror(error.errno or 0)})"


def checksum(path: Path) -> int:
    """The CRC-32 of a file. Raises OSError."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            value = zlib.crc32(chunk, value)
    return value


def settle_file(path: Path) -> int:
    """Make a written file one that only its user can read, and keep it over a crash. Returns its CRC-32."""
    path.chmod(0o600)
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return checksum(path)


def sync_folder(folder: Path) -> None:
    """Keep the names in a folder over a crash, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def month_of(moment: datetime) -> str:
    """The month of a time without zone, as the names of files have it."""
    return f"{moment.year:04}-{moment.month:02}"


def as_utc(moment: datetime) -> datetime:
    """A time of a store, which is UTC without zone, with its zone."""
    return moment.replace(tzinfo=UTC)
