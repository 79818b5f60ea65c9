"""A body read as it comes: for logs, artifacts and reports, which may be larger than memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

import httpx2

from testlab_tools.http.failures import broken_off, failure_of, too_large
from testlab_tools.http.reply import Reply

MAX_STREAM_BYTES = 8 * 2**30
"""The default bound on a streamed body, after decompression."""


class Stream:
    """An answer whose body is still coming: `status` and `headers` at once, the rest from `chunks`."""

    def __init__(self, service: str, response: httpx2.Response, most_bytes: int) -> None:
        self.service = service
        self.received = 0
        self._response = response
        self._most_bytes = most_bytes
        self._chunks = response.aiter_bytes()
        self._first: bytes | None = None

    @property
    def status(self) -> int:
        """The status code."""
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, whatever their case."""
        return self._response.headers

    @property
    def reply(self) -> Reply:
        """Status and headers alone, for what judges an answer by them."""
        return Reply(self.service, self.status, self.headers, b"")

    async def begin(self) -> None:
        """Wait for the first chunk; until it has come, the same can be asked again."""
        try:
            self._first = await anext(self._chunks, None)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise failure_of(self.service, error) from None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body, decompressed, a piece at a time; once. Raises ServiceDown when it breaks off, BadReply when it is
        larger than `most_bytes`: what came before is not the whole."""
        try:
            chunk = self._first
            while chunk is not None:
                self.received += len(chunk)
                if self.received > self._most_bytes:
                    raise too_large(self.service, self._most_bytes)
                yield chunk
                chunk = await anext(self._chunks, None)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise broken_off(self.service, self.received, error) from None

    async def aclose(self) -> None:
        """Stop reading."""
        await self._chunks.aclose()
