"""MCP sessions that cost the measuring process little: JSON-RPC as it is, over stdio and over Streamable HTTP."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from contextlib import suppress
from typing import Any

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
_ID = re.compile(rb'"id": ?(\d+)')


class CallFailed(Exception):
    """A server answered with an error where the measurement needs an answer."""


def encode(number: int, method: str, params: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def encode_notification(method: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method}).encode()


def refuse_error(answer: bytes) -> bytes:
    """The answer, unless it is an error: a failed call must not pass for a fast one."""
    if b'"isError":true' in answer or b'"error":{' in answer[:60]:
        raise CallFailed(answer[:500].decode(errors="replace"))
    return answer


class StdioSession:
    """The session with a server process. Answers come as the bytes they are."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        assert process.stdout
        self.pid = process.pid
        self._process, self._input, self._output = process, process.stdin, process.stdout
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._reader = asyncio.create_task(self._read())

    async def initialize(self) -> None:
        await self.request("initialize", HELLO)
        self._input.write(encode_notification("notifications/initialized") + b"\n")

    async def request(self, method: str, params: dict[str, Any]) -> bytes:
        """The answer's line. Raises CallFailed for an error, and where the server ends."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        if self._reader.done():
            raise CallFailed("the server has ended")
        self._input.write(encode(number, method, params) + b"\n")
        return refuse_error(await future)

    async def call(self, tool: str, arguments: dict[str, Any]) -> bytes:
        return await self.request("tools/call", {"name": tool, "arguments": arguments})

    async def close(self) -> None:
        self._input.close()
        await self._reader
        await self._process.wait()

    async def _read(self) -> None:
        while line := await self._output.readline():
            if (found := _ID.search(line[:100])) and (future := self._waiting.pop(int(found[1]), None)):
                future.set_result(line)
        for future in self._waiting.values():
            future.set_exception(CallFailed("the server ended before it answered"))


class HttpSession:
    """A session with a connection of its own, and one request at a time."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._port, self._reader, self._writer = port, reader, writer
        self._numbers = itertools.count(1)
        self._session = ""

    @classmethod
    async def open(cls, port: int) -> HttpSession:
        session = cls(port, *await asyncio.open_connection("127.0.0.1", port, limit=2**25))
        await session.request("initialize", HELLO)
        await session._post(encode_notification("notifications/initialized"))
        return session

    async def request(self, method: str, params: dict[str, Any]) -> bytes:
        """The answer as JSON. Raises CallFailed for an error."""
        return refuse_error(await self._post(encode(next(self._numbers), method, params)))

    async def call(self, tool: str, arguments: dict[str, Any]) -> bytes:
        return await self.request("tools/call", {"name": tool, "arguments": arguments})

    def close(self) -> None:
        with suppress(OSError):
            self._writer.close()

    async def _post(self, message: bytes) -> bytes:
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nContent-Length: {len(message)}\r\n{self._session}\r\n"
        )
        self._writer.write(head.encode() + message)
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await self._read_body(headers)
        if status.split()[1] not in ("200", "202"):
            raise CallFailed(f"{status}: {body[:300].decode(errors='replace')}")
        if "mcp-session-id" in headers:
            self._session = f"Mcp-Session-Id: {headers['mcp-session-id']}\r\nMcp-Protocol-Version: 2025-06-18\r\n"
        if not headers.get("content-type", "").startswith("text/event-stream"):
            return body
        return [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")][-1]

    async def _read_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return body
