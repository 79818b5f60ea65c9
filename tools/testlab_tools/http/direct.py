"""GETs of one service over connections of their own: HTTP/1.1 on asyncio, little between the request and the socket.

Most of what tools ask is a small JSON, and the layers of a general client take most of its time. This is used where
nothing stands between: no proxy, no user in the URL. Answers with a plain head and a length are read here; any other
(chunked, without a length, after interim ones, in lines that end with LF alone) is read by h11, which judges as well
what is no HTTP. No cookie is kept.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import httpx2

from testlab_tools.http.connection import Connection
from testlab_tools.late_module import LateModule

if TYPE_CHECKING:
    import h11
else:
    h11 = LateModule("h11")

IDLE_S = 5.0
"""How long a connection is kept for the next request: as httpx2 has it."""
CLOSING_TURNS = 10
"""Of the event loop; a socket takes one, with TLS two."""
NEXT_ADDRESS_S = 0.25
"""After which a name's next address is tried beside the one before (RFC 8305)."""
MAX_HEAD_BYTES = 100 * 2**10

_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5]\d\d)(?: [^\0-\x08\n-\x1f\x7f]*)?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\0-\x08\n-\x1f\x7f]*\r\n)*)\r\n"
)
_HEAD_END = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"([^:]+):[ \t]*([^\r]*?)[ \t]*\r\n")
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
_NAMED = re.compile(r"^[^:]*[a-z]")
"""In a host: it is a name, no address."""
_BODILESS = frozenset({204, 304})


class DirectGets:
    """Sends GETs to the service at `url`. Keeps up to `most_idle` connections; `tls` makes the context for https."""

    def __init__(self, url: str, tls: Callable[[], ssl.SSLContext], headers: Mapping[str, str], most_idle: int) -> None:
        self._at = url.rstrip("/")
        self._url = httpx2.URL(self._at + "/")
        self._prefix = self._url.raw_path[:-1]
        self._most_idle = most_idle
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fixed = _lines({"Host": self._url.netloc.decode("ascii"), "Connection": "keep-alive", **headers})
        self._tls: ssl.SSLContext | None = None
        if self._url.scheme == "https":
            self._tls = tls()
            self._tls.set_alpn_protocols(["http/1.1"])

    @asynccontextmanager
    async def get(
        self, path: str, params: Mapping[str, Any] | None, headers: Mapping[str, str], seconds: float
    ) -> AsyncGenerator[DirectAnswer]:
        """Ask, and give the answer once its head has come; `seconds` bound the wait for each part of it.

        Raises:
            httpx2.TransportError: no answer, or one that breaks off or is no HTTP.
        """
        target = self._target(path, params)
        connection = self._take_idle() or await self._connect(seconds)
        try:
            connection.write(b"GET %b HTTP/1.1\r\n%b%b\r\n" % (target, self._fixed, _lines(headers)))
            yield await DirectAnswer.read(connection, seconds)
            if connection.at_rest and len(self._idle) < self._most_idle:
                connection.idle_since = time.monotonic()
                self._idle.append(connection)
                connection = None
        finally:
            if connection is not None:
                connection.close()

    async def aclose(self) -> None:
        """Close all connections, also those that are in use, and let the event loop close their sockets."""
        self._idle.clear()
        for connection in list(self._open):
            connection.close()
        for _ in range(CLOSING_TURNS):
            if self._open:
                await asyncio.sleep(0)

    def _target(self, path: str, params: Mapping[str, Any] | None) -> bytes:
        if not params and _PLAIN_PATH.fullmatch(path):
            return self._prefix + path.encode("ascii")
        url = httpx2.Request("GET", self._at + path, params=params).url
        if url.netloc != self._url.netloc:
            raise httpx2.InvalidURL("The path leads to another host")
        return url.raw_path

    def _take_idle(self) -> Connection | None:
        """The connection that was used last, if it is still good; the others are closed when their time is over."""
        if self._loop is not (loop := asyncio.get_running_loop()):  # that of the connections is closed
            self._loop = loop
            self._idle.clear()
            self._open.clear()
        oldest = time.monotonic() - IDLE_S
        while self._idle and (self._idle[0].idle_since < oldest or not self._idle[0].at_rest):
            self._idle.pop(0).close()
        while self._idle:
            connection = self._idle.pop()
            if connection.at_rest:
                return connection
            connection.close()
        return None

    async def _connect(self, seconds: float) -> Connection:
        host = self._url.raw_host.decode("ascii")
        loop = asyncio.get_running_loop()
        in_turn: dict[str, Any] = {}
        if _NAMED.search(host) and isinstance(loop, asyncio.BaseEventLoop):  # uvloop tries one after the other
            in_turn["happy_eyeballs_delay"] = NEXT_ADDRESS_S
        port = self._url.port or (443 if self._tls else 80)
        try:
            async with asyncio.timeout(min(seconds, 10.0)):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._open), host, port, ssl=self._tls, **in_turn
                )
        except TimeoutError:
            raise httpx2.ConnectTimeout("") from None
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(type(error).__name__) from None
        return connection


class Fields(Mapping[str, str]):
    """The fields of a head, by names in either case; those of one name joined by commas (RFC 9110, 5.3)."""

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for raw, value in fields:
            name, text = raw.decode("ascii").lower(), _decode(value)
            self._values[name] = f"{self._values[name]}, {text}" if name in self._values else text

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        """A field's value."""
        return self._values.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class DirectAnswer:
    """An answer whose head has come: `status_code`, `headers`, and the body by `aiter_raw`, once."""

    def __init__(self, status_code: int, headers: list[tuple[bytes, bytes]], body: AsyncGenerator[bytes]) -> None:
        self.status_code = status_code
        self.headers = Fields(headers)
        self._body = body

    def aiter_raw(self) -> AsyncGenerator[bytes]:
        """The body as it comes, compressed if it is."""
        return self._body

    @classmethod
    async def read(cls, connection: Connection, seconds: float) -> DirectAnswer:
        """Wait for an answer's head. Raises httpx2.TransportError."""
        while not (found := _HEAD_END.search(connection.received)):
            if len(connection.received) > MAX_HEAD_BYTES or connection.ended:
                break
            await connection.wait(seconds)
        end = found.end() if found else 0
        del found  # it holds the buffer
        head = _HEAD.fullmatch(connection.received, 0, end)
        if head is not None:
            status, fields = int(head[1]), _FIELD.findall(head[2])
            length = _length(status, fields)
            if length is not None:
                del head  # as well
                del connection.received[:end]
                return cls(status, fields, connection.body(length, seconds, not _says_close(fields)))
        del head
        return await cls._read_with_h11(connection, seconds)

    @classmethod
    async def _read_with_h11(cls, connection: Connection, seconds: float) -> DirectAnswer:
        machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        machine.send(h11.Request(method="GET", target="/", headers=[("Host", "")]))
        machine.send(h11.EndOfMessage())
        events = _events(machine, connection, seconds)
        async for event in events:
            if isinstance(event, h11.Response):
                return cls(event.status_code, list(event.headers.raw_items()), _data(machine, connection, events))
        raise httpx2.RemoteProtocolError("no answer")


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _length(status: int, fields: list[tuple[bytes, bytes]]) -> int | None:
    """The length of a body that has one and comes as it is; None where more is to be known of it."""
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    if status in _BODILESS or len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 15:
        return None
    return None if any(name.lower() == b"transfer-encoding" for name, _ in fields) else int(lengths[0])


def _says_close(fields: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"connection" and value.lower() != b"keep-alive" for name, value in fields)


async def _events(machine: h11.Connection, connection: Connection, seconds: float) -> AsyncGenerator[h11.Event]:
    while True:
        try:
            event = machine.next_event()
            if event is h11.NEED_DATA:
                if not connection.received and not connection.ended:
                    await connection.wait(seconds)
                machine.receive_data(connection.take())
                continue
        except h11.RemoteProtocolError as error:
            raise httpx2.RemoteProtocolError(str(error)) from None
        if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
            raise httpx2.RemoteProtocolError("The connection was closed")
        yield event
        if isinstance(event, h11.EndOfMessage):
            return


async def _data(
    machine: h11.Connection, connection: Connection, events: AsyncGenerator[h11.Event]
) -> AsyncGenerator[bytes]:
    async for event in events:
        if isinstance(event, h11.Data):
            yield bytes(event.data)
    connection.keeps = machine.our_state is h11.DONE and machine.their_state is h11.DONE
    connection.received[:0] = machine.trailing_data[0]


def _lines(headers: Mapping[str, str]) -> bytes:
    """Header fields as they are sent. Raises httpx2.LocalProtocolError for one that would be more than a line."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers) or "\0" in text:
        raise httpx2.LocalProtocolError("A header is more than a line")
    return text.encode("latin-1")


def is_direct(url: str) -> bool:
    """Whether nothing stands between this machine and a service: no proxy of the environment, no user in its URL."""
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    if parts.scheme not in ("http", "https") or not parts.host or parts.userinfo or parts.query or parts.fragment:
        return False
    proxies = getproxies()
    excepted = [host.strip().casefold() for host in proxies.get("no", "").split(",")]
    return not (proxies.get(parts.scheme) or proxies.get("all")) or "*" in excepted or parts.host in excepted
