"""Streamed reads: as patient as other reads until the first bytes, honest about a body that does not end well."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.errors import BadReply, ConfigError, RateLimited, ServiceDown
from testlab_tools.http import Credentials, Endpoint, ServiceClient, Token

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

ClientOf = Callable[..., ServiceClient]
NOWHERE = "http://127.0.0.1:9"


async def read(client: ServiceClient, path: str = "/log", **how: Any) -> bytes:
    async with client.stream(path, **how) as stream:
        return b"".join([chunk async for chunk in stream.chunks()])


async def test_status_headers_and_body_come_as_sent(origin: Origin, client_of: ClientOf, token: str) -> None:
    origin.answers(origin.reply(200, b"line\n" * 50_000, Content_Type="text/plain; charset=utf-8"))
    async with client_of(f"{origin.url}/prefix").stream("/log", {"tz": "UTC"}) as stream:
        chunks = [chunk async for chunk in stream.chunks()]

    assert (stream.status, stream.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert b"".join(chunks) == b"line\n" * 50_000
    assert len(chunks) > 1
    assert stream.received == 250_000
    (asked,) = origin.asked
    assert (asked.method, asked.target) == ("GET", "/prefix/log?tz=UTC")
    assert asked.headers["authorization"] == f"Bearer {token}"


async def test_a_body_without_bytes_is_empty(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(200, b""))

    assert await read(client_of(origin.url)) == b""


async def test_a_compressed_body_comes_decompressed(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(200, gzip.compress(b"line\n" * 50_000), Content_Encoding="gzip"))

    assert await read(client_of(origin.url)) == b"line\n" * 50_000


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_an_overloaded_service_is_asked_again(
    status: int, origin: Origin, client_of: ClientOf, slept: list[float]
) -> None:
    origin.answers(origin.reply(status, Retry_After="2"), origin.reply(status), origin.reply(200, b"log"))

    assert await read(client_of(origin.url)) == b"log"
    assert slept == [2.0, 1.0]


async def test_a_connection_that_breaks_before_the_first_byte_is_tried_again(
    origin: Origin, client_of: ClientOf
) -> None:
    headless = b"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\n"
    origin.answers(None, headless, b"nonsense\r\n\r\n", origin.reply(200, b"log"))

    assert await read(client_of(origin.url)) == b"log"
    assert len(origin.asked) == 4


async def test_tries_end_after_the_last_and_say_so(origin: Origin, client_of: ClientOf, slept: list[float]) -> None:
    origin.answers(origin.reply(429))

    with pytest.raises(RateLimited, match="Service portal is limiting requests"):
        await read(client_of(origin.url))
    assert len(origin.asked) == 4
    assert slept == [0.5, 1.0, 2.0]


async def test_a_service_that_is_not_there_is_down(client_of: ClientOf) -> None:
    with pytest.raises(ServiceDown, match=r"Service portal cannot be reached\. The connection was refused"):
        await read(client_of(NOWHERE))


@pytest.mark.parametrize("status", [403, 404, 410, 500])
async def test_any_other_status_is_an_answer(status: int, origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(status, {"message": "no"}))
    async with client_of(origin.url).stream("/log") as stream:
        assert (stream.status, stream.reply.status) == (status, status)
    assert len(origin.asked) == 1


@pytest.mark.parametrize(
    "framing",
    ["Content-Length: 90000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n9C40\r\n"],
    ids=["length", "chunked"],
)
async def test_a_body_that_breaks_off_is_an_error_and_not_asked_for_again(
    framing: str, origin: Origin, client_of: ClientOf
) -> None:
    origin.answers(f"HTTP/1.1 200 X\r\nConnection: close\r\n{framing}".encode() + b"x" * 30_000)

    with pytest.raises(ServiceDown, match=r"Service portal broke off after 30000 bytes.*not whole"):
        await read(client_of(origin.url))
    assert len(origin.asked) == 1


async def test_damaged_compression_is_an_error(origin: Origin, client_of: ClientOf) -> None:
    packed = gzip.compress(b"".join(b"%d\n" % n for n in range(100_000)))
    origin.answers(origin.reply(200, packed[:90_000] + b"\0" * 100 + packed[90_100:], Content_Encoding="gzip"))

    with pytest.raises(ServiceDown, match="broke off"):
        await read(client_of(origin.url))


async def test_a_body_larger_than_the_bound_is_cut_off_and_told(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(200, b"x" * (2**20 + 1)))

    assert len(await read(client_of(origin.url), most_bytes=2**20 + 1)) == 2**20 + 1
    with pytest.raises(BadReply, match="sent more than 1 MB"):
        await read(client_of(origin.url), most_bytes=2**20)


async def test_a_redirect_is_refused(origin: Origin, other_origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(302, b"", Location=f"{other_origin.url}/elsewhere?token=s"))

    with pytest.raises(BadReply, match="redirect") as error:
        await read(client_of(origin.url))
    assert "elsewhere" not in str(error.value)
    assert other_origin.asked == []


class Dripping:
    """Sends its body in pieces of one byte, each when it is told to."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.may = asyncio.Semaphore(0)
        self.requests = 0
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Dripping:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.add(asyncio.ensure_future(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            writer.write(f"HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: {self.pieces}\r\n\r\n".encode())
            for _ in range(self.pieces):
                await self.may.acquire()
                writer.write(b"x")
                await writer.drain()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def test_chunks_are_given_as_they_come(client_of: ClientOf) -> None:
    async with Dripping(3) as service:
        service.may.release()
        async with client_of(service.url).stream("/log") as stream, aclosing(stream.chunks()) as chunks:
            assert await anext(chunks) == b"x"
            service.may.release()
            assert await anext(chunks) == b"x"
            service.may.release()
            assert [chunk async for chunk in chunks] == [b"x"]


async def test_the_time_limit_is_on_each_chunk_not_on_the_whole(client_of: ClientOf) -> None:
    limit = 0.3
    async with Dripping(5) as service:
        service.may.release()
        client = client_of(service.url, timeout_seconds=limit)
        async with client.stream("/log") as stream, aclosing(stream.chunks()) as chunks:
            begun = asyncio.get_running_loop().time()
            for _ in range(4):
                assert await anext(chunks) == b"x"
                await asyncio.sleep(limit / 2)
                service.may.release()
            assert asyncio.get_running_loop().time() - begun > limit + 0.2
            assert await anext(chunks) == b"x"


async def test_a_chunk_that_does_not_come_in_time_is_an_error(client_of: ClientOf) -> None:
    async with Dripping(2) as service:
        service.may.release()
        with pytest.raises(ServiceDown, match=r"broke off after 1 bytes\. It took too long"):
            await read(client_of(service.url, timeout_seconds=0.1))


async def test_streams_leave_half_of_the_places_to_other_reads(client_of: ClientOf) -> None:
    async with Dripping(1) as service:
        client = client_of(service.url, max_concurrency=4)
        service.may.release()
        service.may.release()
        async with client.stream("/a"), client.stream("/b"):
            third = asyncio.ensure_future(read(client, "/c"))
            other = asyncio.ensure_future(client.get("/d"))
            service.may.release()
            assert (await other).body == b"x"
            assert service.requests == 3
            assert not third.done()
        service.may.release()
        assert await third == b"x"


async def test_a_stream_given_up_early_frees_its_place(origin: Origin, client_of: ClientOf) -> None:
    origin.answers(origin.reply(200, b"x" * 5_000_000))
    client = client_of(origin.url, max_concurrency=1)
    for _ in range(3):
        async with client.stream("/log") as stream, aclosing(stream.chunks()) as chunks:
            assert len(await anext(chunks)) < 1_000_000
    await origin.until(lambda: origin.open == 0)


async def test_no_failure_shows_the_token_or_the_address(origin: Origin, client_of: ClientOf, token: str) -> None:
    for answer in (None, origin.reply(503), b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nx", origin.reply(302, b"")):
        origin.answers(answer)
        with pytest.raises((ServiceDown, BadReply)) as error:
            await read(client_of(origin.url), "/results/private/stbt.log")
        assert token not in repr(error.value)
        assert "private" not in str(error.value)
        assert error.value.__cause__ is None


async def test_a_missing_token_is_told_before_anything_is_sent(origin: Origin) -> None:
    client = ServiceClient(Endpoint("portal", origin.url), Credentials("portal", "token", Token(env="NO_SUCH_TOKEN")))
    with pytest.raises(ConfigError, match="NO_SUCH_TOKEN is empty or not set"):
        await read(client)
    assert origin.asked == []
    await client.aclose()
