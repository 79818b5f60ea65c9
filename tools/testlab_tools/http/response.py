"""A service's answer: read whole, or streamed where it may be larger than memory; and decoding it into a wire shape.

Bodies are unpacked in small pieces: some kilobytes of gzip are as many megabytes in one. Decoding raises a BadReply
that names the first field that is missing; it stops there, as a million errors would be gigabytes of their own.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Annotated, Any, Protocol, TypeVar, cast, get_origin
from weakref import WeakKeyDictionary

import httpx2
from pydantic import (
    AliasChoices,
    ConfigDict,
    FailFast,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import CoreSchema

from testlab_tools.bounded_json import MAX_ELEMENTS, TooManyElements, has_few_elements, load_json
from testlab_tools.errors import BadReply
from testlab_tools.http.errors import broken_off, failure_of, too_large
from testlab_tools.late_model import LateModel
from testlab_tools.times import utc

LARGE_BYTES = 2**20
"""Bodies larger than this are read one at a time in the whole process, so that many at once do not fill the memory."""
MAX_JSON_BYTES = 8 * 2**20
"""Of an answer that is parsed: its texts are copied some times on their way. Pictures may be larger."""
MAX_DIRECT_BYTES = 2 * 2**20
"""Of an answer that pydantic parses itself: what it refuses is in memory several times until the error is gone."""


@dataclass
class Reply:
    """An answer: what an adapter decodes. A change without an answer has none: it raises AnswerLost."""

    service: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    _unreadable: tuple[str, str, str] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def is_web_page(self) -> bool:
        """Whether it is HTML to be looked at. Web frameworks call an empty answer HTML, too: that is none."""
        return self.headers.get("content-type", "").startswith("text/html") and self.body.lstrip().startswith(b"<")

    @property
    def members(self) -> dict[str, Any]:
        """The members of the JSON object that the body is; none when it is anything else."""
        try:
            value: object = self.json()
        except BadReply:
            return {}
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

    def json(self) -> Any:
        """The body as JSON; half a surrogate pair, which is no text, becomes `?`. Raises BadReply when it is not."""
        if not self._unreadable:
            try:
                if len(self.body) > MAX_JSON_BYTES:
                    raise TooManyElements(f"more than {MAX_JSON_BYTES} bytes")
                value = load_json(self.body)
                if self.has_halves:
                    value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
                return value
            except TooManyElements:
                self._unreadable = (
                    f"Service {self.service} answered {self.status} with more than {MAX_ELEMENTS} values",
                    f"Or with more than {MAX_JSON_BYTES // 2**20} MB of JSON, and it was not read",
                    "Ask for less: a shorter span, a smaller limit.",
                )
            except (ValueError, RecursionError):
                self._unreadable = (
                    f"Service {self.service} answered {self.status} with something that is not JSON",
                    f"It sent {len(self.body)} bytes of {self._kind()}",
                    "Check that url in its config table points at the service itself; `testlab-mcp doctor` tests it.",
                )
            self.drop()
        raise BadReply(self.service, *self._unreadable)

    @property
    def has_halves(self) -> bool:
        """Whether half a surrogate pair may be in it."""
        return any(half in self.body for half in _HALVES)

    def drop(self) -> None:
        """Forget a large body that cannot be read: the traceback of the error about it would keep it in memory."""
        if len(self.body) > LARGE_BYTES:
            self.body = b""

    def _kind(self) -> str:
        """The content type, if it is one of the common ones: any other may be somebody's words."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind if kind in _KINDS else "another type" if kind else "no type"


_HALVES = (rb"\ud", rb"\uD", b"\xed")
"""How half a surrogate pair may begin; sought one by one, which takes a hundredth of a pattern's time."""
_KINDS = frozenset(
    {"application/json", "application/octet-stream", "application/xml", "image/jpeg", "image/png"}
    | {"text/csv", "text/html", "text/plain", "text/xml"}
)


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """The service's own time of an answer, to the second (RFC 9110, "Date"); None where it gives none."""
    try:
        return utc(parsedate_to_datetime(headers["date"]))
    except (KeyError, ValueError, OverflowError):
        return None


def clock_skew(headers: Mapping[str, str]) -> float | None:
    """Seconds that the service's clock is ahead of ours, by its Date header."""
    told = date_of(headers)
    return told.timestamp() - time.time() if told else None


PIECE_BYTES = 64 * 2**10

_Turns = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
_reading: _Turns = WeakKeyDictionary()
_leaving: _Turns = WeakKeyDictionary()


class Body(Protocol):
    """An answer whose body is still to be read."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    def aiter_raw(self) -> AsyncIterator[bytes]: ...


async def iter_pieces(response: Body) -> AsyncGenerator[bytes, None]:
    """The body, at most PIECE_BYTES at a time, unpacked where it is gzip or deflate (RFC 9110 section 8.4.1).

    Raises:
        httpx2.DecodingError: what came is not packed as its header says.
    """
    packed = response.headers.get("content-encoding", "").strip().casefold() in ("gzip", "deflate")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header: gzip's or zlib's
    first = True
    async for raw in response.aiter_raw():
        if not packed:
            for start in range(0, len(raw), PIECE_BYTES):
                yield raw[start : start + PIECE_BYTES]
            continue
        rest = raw
        while rest:
            try:
                piece = unpack.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                if not first:
                    raise httpx2.DecodingError(str(error)) from None
                # Some servers send deflate without zlib's header, which RFC 9110 section 8.4.1.2 notes.
                unpack, first = zlib.decompressobj(-zlib.MAX_WBITS), False
                continue
            first, rest = False, unpack.unconsumed_tail
            if piece:
                yield piece


async def read_whole(response: Body, max_bytes: int) -> bytes | None:
    """The body unpacked; None where it is larger than `max_bytes`.

    Raises:
        httpx2.DecodingError: as `iter_pieces`.
    """
    body = bytearray()
    async with AsyncExitStack() as turn:
        waited = False
        async for piece in iter_pieces(response):
            body += piece
            if len(body) > max_bytes:
                return None
            if len(body) > LARGE_BYTES:
                if not waited:
                    waited = True
                    await turn.enter_async_context(_turn(_reading))
                await asyncio.sleep(0)  # unpacking waits for nothing: let others have their turn
        if len(body) > PIECE_BYTES:  # it is parsed next, which waits for nothing either
            async with _turn(_leaving):
                await asyncio.sleep(0)
        return bytes(body)


def _turn(turns: _Turns) -> asyncio.Lock:
    return turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())


MAX_STREAM_BYTES = 8 * 2**30
"""The default bound on a streamed body, after decompression."""


class Stream:
    """An answer whose body is still coming: `status` and `headers` at once, the rest from `chunks`."""

    def __init__(self, service: str, response: httpx2.Response, most_bytes: int) -> None:
        self.service = service
        self.received = 0
        self._response = response
        self._most_bytes = most_bytes
        self._chunks = iter_pieces(response)
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
    def says_its_end(self) -> bool:
        """Whether it would be seen if the body broke off: it has a length or comes in chunks (RFC 9112, 6.3)."""
        return bool({"content-length", "transfer-encoding"} & {name.lower() for name in self.headers})

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


def make_fail_fast(schema: CoreSchema) -> CoreSchema:
    """The schema with `fail_fast` (pydantic, "Fail Fast") set on each list, set and tuple in it."""
    _mark(schema)
    return schema


def _mark(node: object) -> None:
    if isinstance(node, dict):
        members = cast("dict[str, Any]", node)
        if members.get("type") in ("list", "set", "frozenset", "tuple"):
            members["fail_fast"] = True
        for member in members.values():
            _mark(member)
    elif isinstance(node, list | tuple):
        for member in cast("list[object]", node):
            _mark(member)


T = TypeVar("T")
_FIELDS: set[str] = set()
"""The field names of all wire shapes: the only names said in errors, since a reply may make names of its own."""


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""An id that a service made, of no shape that it documents. It becomes part of handles, paths and our own sentences, so
it can hold neither spaces nor a path. Ids of a known shape are held to it (`Uuid`; the portal's in its `ids`)."""

Uuid = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]
"""An id in the form of RFC 9562."""


class Wire(LateModel):
    """A service's own shape. Unknown fields are let through: services add them without notice."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return make_fail_fast(handler(source))

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for name, member in cls.model_fields.items():
            alias = member.validation_alias
            aliases = alias.choices if isinstance(alias, AliasChoices) else (alias,)
            _FIELDS.update(a for a in (name, *aliases) if isinstance(a, str))


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    hasty: Any = Annotated[shape, FailFast()] if get_origin(shape) is list else shape  # pyright: ignore[reportInvalidTypeForm]
    return TypeAdapter(hasty)


def decode(reply: Reply, shape: type[T]) -> T:
    """The reply's body as `shape`. Raises BadReply naming the first field that is missing or of another type."""
    if len(reply.body) <= MAX_DIRECT_BYTES and has_few_elements(reply.body) and not reply.has_halves:
        with suppress(ValidationError):  # the other way says what is wrong
            return _adapter(shape).validate_json(reply.body)
    return decode_value(reply, reply.json(), shape)


def decode_value(reply: Reply, value: Any, shape: type[T]) -> T:
    """A part of the reply's body, already parsed, as `shape`."""
    try:
        return _adapter(shape).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    value = None  # an error is kept for as long as its call lasts, and its traceback holds this frame
    reply.drop()
    where = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in _FIELDS)[:80]
    missing = first["type"] == "missing"
    raise BadReply(
        reply.service,
        f"Service {reply.service} answered {reply.status} with a reply that cannot be read",
        f"Field {where or '(the whole)'} {'is missing' if missing else 'has another type than documented'}",
        f"It may be of a version this server does not know, or [services.{reply.service}] url lead to another "
        "service; `testlab-mcp doctor` tests it.",
    )
