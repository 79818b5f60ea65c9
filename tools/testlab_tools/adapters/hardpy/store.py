"""What the panel keeps: the live state and the runs that have ended, read as one list of documents.

The panel reads a file for each run at each such question, so an answer that took long is used for a while.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from testlab_tools.adapters.hardpy.cases import failed_cases, reason_of
from testlab_tools.adapters.hardpy.client import PANEL, Panel
from testlab_tools.adapters.hardpy.models import ENDED, StateDocument
from testlab_tools.adapters.hardpy.rows import BrokenRows, NotRows, read_rows
from testlab_tools.errors import NotFound, ServiceDown, Unsupported
from testlab_tools.http import Reply, ServiceClient
from testlab_tools.http.errors import foreign
from testlab_tools.http.policy import SingleFlight
from testlab_tools.http.response import decode_value
from testlab_tools.models.lab import Outcome
from testlab_tools.reports.report import EPOCH

MAX_BYTES = 512 * 2**20
PAUSE_SHARE = 4.0
"""For so many times as long as reading took, what was read is used."""
DATA = "/api/json_data"


class EndedRun(NamedTuple):
    """A run in the history, short. `started` is None of a run that ended before its first test; the job's id is made
    from it. `reason` is the message of the case that failed first, `failed` are cases with message and attempts,
    `counts` those that passed, failed, broke, and all."""

    run_id: str
    outcome: Outcome
    test: str
    started: float | None
    stopped: float | None
    unit: str
    part: str
    revision: str
    batch: str
    user: str
    reason: str
    failed: tuple[tuple[str, str, int], ...]
    counts: tuple[int, int, int, int]

    @property
    def began(self) -> datetime:
        """When it started; of a run without start, when it ended."""
        seconds = self.started if self.started is not None else self.stopped
        return to_moment(int(self.run_id) / 1000 if seconds is None else seconds)

    @property
    def duration_s(self) -> float | None:
        """From start to end, whole seconds; None where one of them is not told."""
        return None if self.started is None or self.stopped is None else max(0.0, self.stopped - self.started)

    @property
    def order(self) -> tuple[datetime, int]:
        """Its place among all runs."""
        return self.began, int(self.run_id)


@dataclass
class Store:
    """The documents as they stood: the live one, None where the panel has collected no tests yet; the runs that have
    ended, newest first; `unread` counts those with a status that HardPy 0.25 does not have. `number` is that of the
    reading."""

    number: int = 0
    live: StateDocument | None = None
    runs: list[EndedRun] = field(default_factory=list[EndedRun])
    unread: int = 0

    def of_job(self, job_uid: str) -> EndedRun | None:
        """The run of a job that has ended; the newest of those that began in its second."""
        return next((run for run in self.runs if run.started is not None and f"{run.started:.0f}" == job_uid), None)


def to_moment(seconds: float) -> datetime:
    """A time in seconds since 1970."""
    return EPOCH + timedelta(seconds=seconds)


def is_run(document_id: str) -> bool:
    """Whether a document is of a run that has ended: milliseconds since 1970. The live one is `<host>_<port>`."""
    return document_id.isascii() and document_id.isdigit() and len(document_id) <= 15


class StateStore(Panel):
    """Reads the documents."""

    def __init__(self, name: str, client: ServiceClient) -> None:
        super().__init__(name, client)
        self._reads: SingleFlight[Store] = SingleFlight()
        self._documents: SingleFlight[StateDocument | None] = SingleFlight()
        self._kept: Store | None = None
        self._until = 0.0
        self._begun = 0

    async def read_store(self, *, fresh: bool = False) -> Store:
        """All that the panel keeps. Not `fresh`, it may be as old as a reading takes, some times over; `fresh`, it is
        read from now on: of a reading that is under way it is not known what it has passed already."""
        if not fresh:
            if self._kept is not None and time.monotonic() < self._until:
                return self._kept
            return await self._reads.run("store", self._read)
        number = self._begun
        while (store := await self._reads.run("store", self._read)).number <= number:
            pass
        return store

    async def read_live(self, *, fresh: bool = False) -> StateDocument:
        """The live state. Raises NotFound where no tests have been collected yet."""
        live = (await self.read_store(fresh=fresh)).live
        if live is None:
            raise NotFound(f"The panel of {self.name} has collected no tests yet", "", "list_test_cases collects them.")
        return live

    async def read_run(self, run_id: str) -> StateDocument:
        """The document of a run that has ended, which no longer changes: who asks meanwhile shares it. That there is
        none is known only from a reading that began since. Raises NotFound then."""
        began = not is_run(run_id)

        async def find() -> StateDocument | None:
            nonlocal began
            began = True
            return await self._find_run(run_id)

        document = None
        while document is None and not began:
            document = await self._documents.run(run_id, find)
        if document is not None:
            return document
        raise NotFound(f"{self.name} has no such run", "", "list_runs shows the runs there are.").naming(run_id)

    async def _find_run(self, run_id: str) -> StateDocument | None:
        async with aclosing(self.iter_documents(lambda known: known == run_id)) as documents:
            async for document in documents:
                return document
        return None

    async def iter_documents(self, wanted: Callable[[str], bool] = lambda _: True) -> AsyncGenerator[StateDocument]:
        """The documents whose id is `wanted`, in no order, read as they come.

        Raises:
            Unsupported: the panel keeps its runs in CouchDB.
        """
        try:
            async with self.client.stream(DATA, most_bytes=MAX_BYTES) as stream:
                if stream.status != 200:
                    raise self.failure(stream.reply, "its runs")
                reply = Reply(self.name, 200, stream.headers, b"")
                async with aclosing(stream.chunks()) as chunks, aclosing(read_rows(self._in_time(chunks))) as rows:
                    async for row in rows:
                        if "_id" not in row or wanted(str(row["_id"])):
                            yield decode_value(reply, row, StateDocument)
        except NotRows as other:
            raise await self._explain(other.text) from None
        except BrokenRows:
            raise self.unreadable("It ends early, or holds something else than documents") from None

    async def _in_time(self, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """The chunks, while waiting for them all takes no longer than one request may."""
        seconds = left = self.client.endpoint.timeout_seconds
        while True:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, left)):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                raise ServiceDown(
                    self.name,
                    f"{self.name} did not tell all its runs within {seconds:g} s",
                    "The panel answers with every run it has ever kept",
                    f"Raise [services.{self.name}] timeout_seconds, or move old runs out of the panel's storage.",
                ) from None
            left -= time.monotonic() - begun
            if chunk is None:
                return
            yield chunk

    async def _read(self) -> Store:
        self._begun += 1
        begun, store = time.monotonic(), Store(self._begun)
        live: list[StateDocument] = []
        async with aclosing(self.iter_documents()) as documents:
            async for document in documents:
                if not is_run(document.id):
                    live.append(document)
                elif document.status in ENDED:
                    store.runs.append(summarise(document))
                else:
                    store.unread += 1
        store.runs.sort(key=lambda run: run.order, reverse=True)
        store.live = self._choose(live)
        self._kept, now = store, time.monotonic()
        self._until = now + PAUSE_SHARE * (now - begun)
        return store

    def _choose(self, live: Sequence[StateDocument]) -> StateDocument | None:
        """The live state of this panel: its storage may hold those of panels that ran on other ports."""
        if len(live) < 2:
            return live[0] if live else None
        own = [state for state in live if state.id.rpartition("_")[2] == str(urlsplit(self.client.endpoint.url).port)]
        if len(own) == 1:
            return own[0]
        raise self.unreadable("Its storage holds the states of several panels, and none says that it is this one's")

    async def _explain(self, text: str) -> Exception:
        """What another answer than rows means: `{"error": …}` alone where there is no JSON storage, with empty rows
        where it could not be read."""
        try:
            body: Any = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict) or "error" not in body:
            return foreign(self.name, PANEL, 200)
        kind = (await self.client.get("/api/storage_type")).members.get("storage_type")
        if kind == "json":
            return ServiceDown(self.name, f"The panel of {self.name} cannot read its own storage", "", _LOOK)
        if kind != "couchdb":
            return foreign(self.name, PANEL, 200)
        return Unsupported(
            f"{self.name} does not tell what it runs and ran",
            "Its panel keeps that in CouchDB, whose address and password are not asked for",
            'storage_type = "json" in its hardpy.toml has the panel tell it; StandCloud has the runs sent there.',
        )


_LOOK = "The panel's own console says why."


def summarise(document: StateDocument) -> EndedRun:
    """A run that has ended, short."""
    outcomes = [case.outcome for _, case in document.cases.values()]
    return EndedRun(
        run_id=document.id,
        outcome=ENDED[document.status],
        test=document.process.name or document.name,
        started=document.start_time,
        stopped=document.stop_time,
        unit=document.dut.serial_number,
        part=document.dut.part_number,
        revision=document.dut.revision,
        batch=document.batch_serial_number,
        user=document.user,
        reason=reason_of(document),
        failed=tuple((name, case.assertion_msg[:500], case.attempt) for name, case in failed_cases(document)),
        counts=(outcomes.count("pass"), outcomes.count("fail"), outcomes.count("error"), len(outcomes)),
    )
