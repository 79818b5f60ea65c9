"""Downloads that break off, take longer than a call, or are given up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

MB = 2**20
Sends = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


async def cut(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2])


async def cut_in_a_chunk(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body[: len(body) // 2])


async def short_but_well_formed(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(f"Content-Length: {len(body) - 1}\r\n\r\n".encode() + body[:-1])


async def without_a_length(writer: asyncio.StreamWriter, body: bytes) -> None:
    """An answer that ends with its connection: HTTP cannot tell that it is cut."""
    writer.write(b"\r\n" + body[: len(body) // 2])


@pytest.mark.parametrize("sends", [cut, cut_in_a_chunk, short_but_well_formed, without_a_length])
async def test_a_truncated_download_is_an_error_and_leaves_no_file(
    sends: Sends,
    connect: Connect,
    refused: RefusedCaller,
    tmp_path: Path,
    hostile: Callable[..., AbstractAsyncContextManager[str]],
    run: str,
) -> None:
    folder = tmp_path / "out"
    async with hostile({"video.mp4": b"\0" * 3 * MB}, sends, save_to=folder) as config, connect(config) as client:
        told = await refused(client, "get_artifact", run_id=run, name="video.mp4", save_to="video.mp4")
    assert "broke off after" in told or "bytes of an artifact that has 3145728" in told
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("sends", [cut, cut_in_a_chunk])
async def test_a_log_that_breaks_off_is_an_error(
    sends: Sends,
    connect: Connect,
    refused: RefusedCaller,
    hostile: Callable[..., AbstractAsyncContextManager[str]],
    run: str,
) -> None:
    async with hostile({"stbt.log": b"a line\n" * 100_000}, sends) as config, connect(config) as client:
        for how in ({}, {"search": "line"}):
            told = await refused(client, "read_log", run_id=run, **how)
            assert "Service portal broke off after" in told
            assert "not whole" in told


async def test_a_log_that_may_have_been_cut_unseen_is_not_told_as_whole(
    connect: Connect, ask: ToolCaller, hostile: Callable[..., AbstractAsyncContextManager[str]], run: str
) -> None:
    async with hostile({"stbt.log": b"a line\n" * 100}, without_a_length) as config, connect(config) as client:
        answer = await ask(client, "read_log", run_id=run, tail=5)
    assert "that it is whole is not certain" in answer["note"]
    async with hostile({"stbt.log": b"a line\n" * 100}) as config, connect(config) as client:
        assert "note" not in await ask(client, "read_log", run_id=run, tail=5)


class PausedBody:
    """Sends half of a body, and the rest once it is resumed."""

    def __init__(self) -> None:
        self.resumed = asyncio.Event()
        self.half_sent = asyncio.Event()
        self.sent = 0

    async def __call__(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        self.sent += 1
        writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2])
        await writer.drain()
        self.half_sent.set()
        await self.resumed.wait()
        writer.write(body[len(body) // 2 :])


async def test_a_file_that_takes_longer_than_a_call_goes_on_and_the_next_call_gets_it(
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hostile: Callable[..., AbstractAsyncContextManager[str]],
    run: str,
) -> None:
    monkeypatch.setattr("testlab_tools.deadline.RESERVE", 0.995)
    transfer, body = PausedBody(), os.urandom(3 * MB)
    async with hostile({"a.bin": body, "b.bin": body}, transfer, save_to=tmp_path) as config, connect(config) as client:
        first = await ask(client, "get_artifact", run_id=run, name="a.bin", save_to="x")
        other = await refused(client, "get_artifact", run_id=run, name="b.bin", save_to="x")
        assert not (tmp_path / "x").exists()
        transfer.resumed.set()
        monkeypatch.setattr("testlab_tools.deadline.RESERVE", 0.8)
        second = await ask(client, "get_artifact", run_id=run, name="a.bin", save_to="x")
    assert (first["finished"], first["next"]) == (False, "Call again with the same arguments.")
    assert "saved_to" not in first
    assert "Another file is being written there" in other
    assert second["saved_to"] == str(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == body
    assert transfer.sent == 1


async def test_a_cancelled_download_is_given_up_and_leaves_nothing(
    hostile: Callable[..., AbstractAsyncContextManager[str]],
    run: str,
    connect: Connect,
    ask: ToolCaller,
    tmp_path: Path,
) -> None:
    transfer, folder = PausedBody(), tmp_path / "out"
    arguments = {"run_id": run, "name": "a.bin", "save_to": "x"}
    async with hostile({"a.bin": b"x" * 3 * MB}, transfer, save_to=folder) as config, connect(config) as client:
        call = asyncio.ensure_future(client.call_tool("get_artifact", arguments))
        await transfer.half_sent.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        transfer.resumed.set()
        await ask(client, "get_artifact", **arguments)
    assert transfer.sent == 2
    assert [path.name for path in folder.iterdir()] == ["x"]
