"""Fixtures: the simulated portal asked past our client, and a portal of our own that misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.lab_processes import LabProcess

RUN = "/stb-tester-000000000001/0a23/972/2026-01-01_00.00.00"
Sends = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


@pytest.fixture(scope="module")
def lab() -> Iterator[SimLab]:
    """A simulated lab for a module, whose faults are cleared after each test."""
    with LabProcess() as started:
        started.services()
        yield started


@pytest.fixture
def portal(lab: SimLab) -> Iterator[Portal]:
    """The simulated portal, asked without our client."""
    made = Portal(lab)
    yield made
    made.clear()
    made.close()


@pytest.fixture
def hostile() -> Callable[..., AbstractAsyncContextManager[str]]:
    """Start a portal of our own, whose one result has the files given; gives the config of a server in front of it."""
    return _hostile


@pytest.fixture
def run() -> str:
    """The one result of such a portal."""
    return f"portal:{RUN}"


class Portal:
    """The simulated portal asked without our client, and its control plane."""

    def __init__(self, lab: SimLab) -> None:
        service = lab.services()["stbtester"]
        self._http = httpx2.Client(headers={"Authorization": f"token {service['token']}"}, timeout=30, trust_env=False)
        self._url, self._root = service["url"], service["url"].rpartition("/")[0]

    def get(self, path: str, **params: str) -> httpx2.Response:
        return self._http.get(f"{self._url}/api/v2/{path}", params=params).raise_for_status()

    def results(self, text: str, sort: str = "date:desc") -> list[dict[str, Any]]:
        return self.get("results", filter=text, sort=sort).json()

    def failed(self) -> dict[str, Any]:
        return self.results("result:fail")[0]

    def every_result(self) -> list[dict[str, Any]]:
        """All there are, a week at a time, which is far fewer than the portal lists at once."""
        rows: dict[str, dict[str, Any]] = {}
        monday = datetime.now(UTC).date() + timedelta(days=2)
        while True:
            begin = monday - timedelta(days=7)
            week = self.results(f"date:>={begin} date:<={monday}")
            assert len(week) < 2000
            if not week and not self.results(f"date:<={begin}"):
                return list(rows.values())
            rows.update((row["result_id"], row) for row in week)
            monday = begin

    def fault(self, **fault: object) -> None:
        self._http.post(f"{self._root}/_sim/faults", json={"service": "stbtester", **fault}).raise_for_status()

    def enlarge(self, result_id: str, name: str, size: int) -> None:
        given = {"result_id": result_id, "name": name, "bytes": size}
        self._http.post(f"{self._root}/_sim/files", json=given).raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        return self._http.get(f"{self._root}/_sim/requests").json()["requests"]

    def clear(self) -> None:
        """Forget faults and counted requests."""
        for what in ("faults", "requests"):
            self._http.delete(f"{self._root}/_sim/{what}").raise_for_status()

    def close(self) -> None:
        self._http.close()


@asynccontextmanager
async def _hostile(
    files: Mapping[str, bytes], sends: Sends | None = None, asked: list[str] | None = None, save_to: Path | None = None
) -> AsyncIterator[str]:
    """`sends` writes the end of an answer's head and the file; the first of them is the log too. `asked` is told the
    targets of all requests."""
    talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ")[1].decode()
            (asked if asked is not None else []).append(target)
            name = httpx2.URL(target).path.rpartition("/artifacts/")[2]
            listing = json.dumps({name: {"size": len(body)} for name, body in files.items()}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
            if target.endswith("/artifacts/"):
                await _whole(writer, listing)
            else:
                await (sends or _whole)(writer, files.get(name) or next(iter(files.values())))
            await writer.drain()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks[asyncio.ensure_future(talk(reader, writer))] = writer

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    files_table = f"[files]\nsave_to = ['{save_to}']\n" if save_to else ""
    try:
        yield f'{files_table}[services.portal]\nkind = "stbtester"\nurl = "http://127.0.0.1:{port}"\ntoken = "t"\n'
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        for writer in talks.values():  # a talk that was cancelled before it began has not closed its own
            writer.close()
        await server.wait_closed()


async def _whole(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
