"""GETs on connections of the client's own: every form of an HTTP/1.1 answer, connections kept, proxies heeded."""

from __future__ import annotations

import asyncio
import gc
import ssl
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from testlab_tools.errors import ServiceDown
from testlab_tools.http import RetryPolicy, ServiceClient
from testlab_tools.http.direct import DirectGets

ClientOf = Callable[..., ServiceClient]
ONCE = RetryPolicy(attempts=1)


@dataclass
class Scripted:
    """A server that gives these bytes in turn, and closes a connection after one that ends with `CLOSE`."""

    url: str = ""
    script: list[bytes] = field(default_factory=list[bytes])
    heads: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.script.pop(0)
                writer.write(answer.removesuffix(CLOSE))
                if answer.endswith(CLOSE):
                    break
        writer.close()
        self.closed.set()


CLOSE = b"[close]"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
async def scripted() -> AsyncGenerator[Scripted]:
    made = Scripted()
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


@pytest.mark.parametrize(
    ("answer", "status", "body", "kept"),
    [
        (PLAIN, 200, b"{}", True),
        (b"HTTP/1.1 200\r\ncontent-LENGTH:2\r\nX-Empty:\r\nX: \xe9 y \r\n\r\n{}", 200, b"{}", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 200, b"{}", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + PLAIN, 200, b"{}", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", False),
        (b"HTTP/1.1 200 OK\r\n\r\n{}" + CLOSE, 200, b"{}", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", False),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", 200, b"{}", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\r\n{}", 200, b"{}", True),
        (PLAIN + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext", 200, b"{}", False),
    ],
    ids=[
        "plain",
        "odd",
        "empty",
        "204",
        "chunked",
        "interim",
        "close",
        "no length",
        "1.0",
        "LF",
        "LF, CRLF",
        "more than asked for",
    ],
)
async def test_each_form_of_an_answer_is_read_and_the_connection_kept_where_it_may_be(
    scripted: Scripted, client_of: ClientOf, answer: bytes, status: int, body: bytes, kept: bool
) -> None:
    scripted.script = [answer, PLAIN]
    client = client_of(scripted.url)
    reply = await client.get("/a")
    assert (reply.status, reply.body) == (status, body)
    assert (await client.get("/b")).body == b"{}"
    assert scripted.connections == (1 if kept else 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n" + CLOSE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}" + CLOSE,
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}" + CLOSE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\0b\r\n\r\n{}" + CLOSE,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 120_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}" + CLOSE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}" + CLOSE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}" + CLOSE,
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n" + CLOSE,
        CLOSE,
    ],
    ids=[
        "no HTTP",
        "two lengths",
        "negative",
        "zero byte",
        "long head",
        "short",
        "cut",
        "no chunk",
        "upgrade",
        "nothing",
    ],
)
async def test_what_is_no_whole_answer_is_an_outage(scripted: Scripted, client_of: ClientOf, answer: bytes) -> None:
    scripted.script = [answer]
    with pytest.raises(ServiceDown) as caught:
        await client_of(scripted.url, retry=ONCE).get("/a")
    assert "cannot be reached" in caught.value.what or "broke" in caught.value.what


async def test_a_large_body_comes_whole_and_its_connection_serves_again(
    scripted: Scripted, client_of: ClientOf
) -> None:
    body = b"0123456789" * 300_000
    scripted.script = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), PLAIN]
    client = client_of(scripted.url)
    assert (await client.get("/a")).body == body
    await client.get("/b")
    assert scripted.connections == 1


async def test_a_kept_connection_that_the_service_closed_is_not_used(scripted: Scripted, client_of: ClientOf) -> None:
    scripted.script = [PLAIN + CLOSE, PLAIN]
    client = client_of(scripted.url, retry=ONCE)
    await client.get("/a")
    await scripted.closed.wait()
    await asyncio.sleep(0)
    assert (await client.get("/b")).status == 200


class Kept(BaseHTTPRequestHandler):
    """Answers with nothing, and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def ask_in_two_loops(url: str) -> list[int]:
    gets = DirectGets(url, ssl.create_default_context, {}, 2)

    async def ask() -> int:
        async with gets.get("/a", None, {}, 2.0) as answer:
            assert [piece async for piece in answer.aiter_raw()] == []
            return answer.status_code

    return [asyncio.run(ask()) for _ in range(2)]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_connection_kept_in_an_event_loop_that_was_closed_is_not_used() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Kept) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert ask_in_two_loops(f"http://127.0.0.1:{server.server_port}") == [200, 200]
        server.shutdown()
    gc.collect()


async def test_a_path_keeps_to_its_host_and_is_written_as_a_url_is(scripted: Scripted, client_of: ClientOf) -> None:
    scripted.script = [PLAIN] * 4
    client = client_of(f"{scripted.url}/base/")
    for path in ("/a/ü b", "/a/../c", "/a/%2e%2e/x?y=1"):
        await client.get(path)
    await client.get("/a", {"q": "x y&z"})
    targets = [head.split(b" ")[1] for head in scripted.heads]
    assert targets == [b"/base/a/%C3%BC%20b", b"/base/c", b"/base/a/%2e%2e/x?y=1", b"/base/a?q=x+y%26z"]


async def test_a_proxy_of_the_environment_is_asked_unless_the_host_is_excepted(
    scripted: Scripted, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.script = [PLAIN, PLAIN]
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", scripted.url)
    await client_of("http://portal.invalid").get("/a")
    assert scripted.heads[0].startswith(b"GET http://portal.invalid/a ")

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost, 127.0.0.1")
    await client_of(scripted.url, retry=ONCE).get("/b")
    assert scripted.heads[1].startswith(b"GET /b ")
