"""What all of a folder's capabilities go by: its index, brought up to date at each question."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from testlab_tools.adapters.folder.index import Contents, Index, IndexUnusable, Scan, count_contents, list_left_out
from testlab_tools.adapters.folder.looking import Looker
from testlab_tools.adapters.folder.places import FolderGone, Key, Place
from testlab_tools.adapters.folder.reading import WHY, Request
from testlab_tools.capabilities import Health, Service
from testlab_tools.errors import NotFound, ServiceDown
from testlab_tools.fanout import ignore_error
from testlab_tools.untrusted import shorten

T = TypeVar("T")
PATIENCE_S = 2.0
"""For the folders to be looked at; then what is in the index is answered, and said to be part of it."""
MAX_NAMED = 20
"""Files that `doctor` names."""


class Freshness(NamedTuple):
    """Whether the index is up to date; if not, how far the look at the files has come."""

    whole: bool
    scan: Scan = Scan()


class FolderService(Service):
    """A folder, its index, and what looks at it."""

    kind = "folder"

    def __init__(
        self, name: str, places: Sequence[Place], write_to: Path | None, index_folder: Path, rescan_s: float
    ) -> None:
        super().__init__(name)
        self.places = places
        self.write_to = write_to
        self.key = sha256("\n".join(f"{place.root}\t{place.glob}" for place in places).encode()).hexdigest()[:24]
        self.index = Index(index_folder / f"{self.key}.sqlite")
        self.looker = Looker(places, self.index, rescan_s)

    @property
    def location(self) -> str:
        return self.key

    async def refresh(self, patience_s: float | None = PATIENCE_S) -> Freshness:
        """Bring the index up to date, as far as patience goes (None: without end).

        Raises:
            ServiceDown: a folder is not there, or the index cannot be written.
        """
        look = asyncio.wrap_future(self.looker.look())
        look.add_done_callback(ignore_error)
        try:
            await asyncio.wait([look], timeout=patience_s)
            if not look.done():
                return Freshness(False, await self.query(self.index.scan))
        finally:
            look.cancel()  # the waiting alone: what looks goes on
        try:
            whole = look.result()
        except FolderGone as gone:
            raise self.down(gone) from None
        except IndexUnusable as unusable:
            raise self._unusable(unusable) from None
        return Freshness(whole, Scan() if whole else await self.query(self.index.scan))

    async def query(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do what blocks, in a thread. Raises ServiceDown where the index cannot be used."""
        try:
            return await asyncio.to_thread(work, *arguments)
        except IndexUnusable as unusable:
            raise self._unusable(unusable) from None

    def down(self, gone: FolderGone) -> ServiceDown:
        """The error where a folder cannot be looked into. Of several it says which by the config's order: whoever asks
        need not know the paths of the server's machine."""
        number = [place.root for place in self.places].index(gone.root) + 1
        is_last = number == len(self.places) > 1
        key = "write_to" if is_last and gone.root == self.write_to else "path"
        which = f", entry {number}," if key == "path" and len(self.places) > 1 else ""
        return ServiceDown(
            self.name,
            f"A folder of {self.name} {gone.why}",
            "Its reports are not known now",
            f"Check [services.{self.name}] {key}{which} and whether its drive is there; `testlab-mcp doctor` tests it.",
        )

    def _unusable(self, error: IndexUnusable) -> ServiceDown:
        return ServiceDown(
            self.name,
            f"The index of {self.name} cannot be used",
            error.why,
            f"Give [services.{self.name}] index_folder, or make room; it is made again from the reports.",
        )

    async def describe_gaps(self, fresh: Freshness) -> str:
        """What is missing from an answer, in our words: files not read yet, files left out."""
        contents = await self.query(count_contents, self.index)
        notes: list[str] = []
        if not fresh.whole:
            far = f"{fresh.scan.done:,} of {fresh.scan.total:,} new files" if fresh.scan.total else "part of its files"
            notes.append(f"Still being read: {far} so far, those written last first. Call again for all.")
        if contents.left_out:
            notes.append(f"{describe_left_out(contents)} `testlab-mcp doctor` names them.")
        notes += describe_disputed(contents)
        return " ".join(notes)

    def root_of(self, key: Key) -> str:
        """The folder that a file's path is below."""
        return os.path.realpath(self.places[key.place].root)

    async def request_for(self, run_id: str) -> tuple[Request, int]:
        """A file that holds a run, and which of its runs it is. Raises NotFound."""
        sql = "SELECT key, nth FROM sources WHERE run_id = ? ORDER BY key"
        for text, nth in await self.query(self.index.rows, sql, (run_id,)):
            key = Key.parse(text)
            return Request(self.root_of(key), key.relative, text, ""), nth
        raise self.no_such_run(run_id)

    def no_such_run(self, run_id: str) -> NotFound:
        """The error for a run that no file holds."""
        return NotFound(
            f"{self.name} has no such run", "No report in it is of that run", "list_runs shows those it has."
        ).naming(run_id)

    async def probe(self) -> Health:
        """Look at the folders, and say what is in them."""
        fresh = await self.refresh()
        contents = await self.query(count_contents, self.index)
        formats = ", ".join(f"{count:,} {form}" for form, count in sorted(contents.formats.items()))
        reports = sum(contents.formats.values())
        held = f"{contents.runs:,} runs in {reports:,} reports: {formats}" if reports else "no reports"
        reading = "" if fresh.whole else f"; reading {fresh.scan.done:,} of {fresh.scan.total:,} new files"
        left_out = sum(contents.left_out.values())
        unread = f"; {left_out:,} {'file' if left_out == 1 else 'files'} left out" if left_out else ""
        return Health(f"{held}{unread}{reading}", notes=await self._list_notes(contents))

    async def _list_notes(self, contents: Contents) -> list[str]:
        notes = describe_disputed(contents)
        if contents.others:
            notes.append(f"{contents.others:,} other JSON and XML files are no reports.")
        if contents.left_out:
            notes.append(describe_left_out(contents))
            for text, state, why in await self.query(list_left_out, self.index, MAX_NAMED):
                key = Key.parse(text)
                path = os.path.join(self.places[key.place].root, *key.relative.split("/"))
                notes.append(f"  {shorten(path, 300)}: {why or WHY.get(state, state)}")
            if (more := sum(contents.left_out.values()) - MAX_NAMED) > 0:
                notes.append(f"  and {more:,} more")
        return notes

    async def aclose(self) -> None:
        await asyncio.to_thread(self.looker.close)
        self.index.close()


def describe_disputed(contents: Contents) -> list[str]:
    """How many runs are told differently by files of the same id."""
    if not contents.disputed:
        return []
    return [
        (
            f"Files of one `ref` say different things of {contents.disputed:,} "
            f"{'run' if contents.disputed == 1 else 'runs'}: each counts once, as the first file by its path says; "
            "another run needs another ref."
        )
    ]


def describe_left_out(contents: Contents) -> str:
    """How many files are left out of the runs, and why."""
    reasons = "; ".join(f"{count:,} {WHY.get(state, state)}" for state, count in sorted(contents.left_out.items()))
    total = sum(contents.left_out.values())
    return f"{total:,} {'file is' if total == 1 else 'files are'} left out: {reasons}."
