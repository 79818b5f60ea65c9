"""The HTTP client of one service: auth, timeouts, retries, a concurrency limit, shared reads, no secrets in errors."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from testlab_tools.errors import AnswerLost, BadReply, ConfigError, LabError, RateLimited, ServiceDown
from testlab_tools.http.credentials import Credentials
from testlab_tools.http.flight import SingleFlight
from testlab_tools.http.retry import RETRIED, RetryPolicy, retry_after

Params = Mapping[str, str | int | list[str]]
MAX_BODY_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Endpoint:
    """Where a service is and how patient to be with it."""

    service: str
    url: str
    ca_file: str = ""
    timeout_seconds: float = 15.0
    max_concurrency: int = 8
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True)
class Reply:
    """An answer: what an adapter decodes. `lost` cannot happen here: a write without an answer raises AnswerLost."""

    service: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises BadReply when it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "no content type").split(";")[0]
            raise BadReply(
                self.service,
                f"Service {self.service} answered {self.status} with something that is not JSON",
                f"It sent {len(self.body)} bytes of {kind if kind.isascii() and len(kind) < 60 else 'unknown type'}",
                "Check that url in its config table points at the service itself; `testlab-mcp doctor` tests it.",
            ) from None


class ServiceClient:
    """One connection pool, one TLS context, for the life of the process; made at the first request."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.service = endpoint.service
        self._credentials = credentials
        self._transport = transport
        self._sleep = sleep
        self._pool: httpx2.AsyncClient | None = None
        self._slots = asyncio.Semaphore(endpoint.max_concurrency)
        self._reads: SingleFlight[Reply] = SingleFlight()
        self._polls: SingleFlight[Reply] = SingleFlight()

    async def get(self, path: str, params: Params | None = None, final: frozenset[int] = frozenset()) -> Reply:
        """GET, retried; an identical one in flight is shared. Statuses in `final` are answers, never retried."""
        key = (path, tuple(sorted((k, str(v)) for k, v in (params or {}).items())))
        return await self._reads.run(key, lambda: self._read(path, params, final))

    async def poll(self, path: str, hold_seconds: float) -> Reply:
        """A long poll: outside the concurrency limit, never more than one for a path."""
        return await self._polls.run(path, lambda: self._once("GET", path, None, hold_seconds))

    async def send(self, method: str, path: str, *, params: Params | None = None, body: object = None) -> Reply:
        """A change: sent once. Raises AnswerLost when it was sent and no answer, or only a gateway's, came."""
        async with self._slots:
            reply = await self._once(method, path, params, self.endpoint.timeout_seconds, body)
        if reply.status in _GATEWAY:
            raise self._lost(method, f"A gateway in front of it answered (HTTP {reply.status})")
        return reply

    async def upload(self, url: str, data: bytes, media_type: str) -> Reply:
        """PUT to a presigned URL: no credentials of ours, and the URL stays out of every message."""
        async with self._slots:
            return await self._exchange(
                "PUT", url, self.endpoint.timeout_seconds, content=data, headers={"Content-Type": media_type}
            )

    async def aclose(self) -> None:
        """Close the pool."""
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    async def _read(self, path: str, params: Params | None, final: frozenset[int]) -> Reply:
        policy, spent = self.endpoint.retry, 0.0
        for attempt in range(1, policy.attempts + 1):
            begun = time.monotonic()
            failure: LabError | None = None
            wait = policy.backoff(attempt)
            try:
                async with self._slots:
                    reply = await self._once("GET", path, params, self.endpoint.timeout_seconds)
                if reply.status not in RETRIED or reply.status in final:
                    return reply
                asked = retry_after(reply.headers)
                wait = wait if asked is None else asked
                failure = self._overloaded(reply, asked)
            except ServiceDown as error:
                failure = error
            spent += time.monotonic() - begun
            if attempt == policy.attempts or spent + wait > policy.longest_wait_s:
                raise failure
            await self._sleep(wait)
            spent += wait
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(
        self, method: str, path: str, params: Params | None, timeout_s: float, body: object = None
    ) -> Reply:
        headers = {**self._credentials.headers, "Accept": "application/json, */*;q=0.5"}
        content = None
        if body is not None:
            content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        url = self.endpoint.url.rstrip("/") + path
        return await self._exchange(method, url, timeout_s, params=params, content=content, headers=headers)

    async def _exchange(self, method: str, url: str, timeout_s: float, **request: Any) -> Reply:
        timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, 10.0), pool=timeout_s)
        deadline = asyncio.timeout(timeout_s + 1)
        try:
            async with deadline, self._client().stream(method, url, timeout=timeout, **request) as response:
                body = await self._body(response)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise self._down(error) from None
        except (httpx2.TransportError, httpx2.DecodingError, TimeoutError) as error:
            raise (self._down(error) if method == "GET" else self._lost(method, _cause(error))) from None
        except httpx2.InvalidURL:
            raise ConfigError(f"Service {self.service}'s url is not a URL", "", "Mend it in the config file.") from None
        if 300 <= response.status_code < 400:
            raise BadReply(
                self.service,
                f"Service {self.service} answered with a redirect ({response.status_code})",
                "Redirects are not followed, so that the token goes nowhere else",
                f"Set [services.{self.service}] url to the address the service really has.",
            )
        return Reply(self.service, response.status_code, response.headers, body)

    async def _body(self, response: httpx2.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise BadReply(
                    self.service,
                    f"Service {self.service} sent more than {MAX_BODY_BYTES // 2**20} MB",
                    "It was cut off",
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _client(self) -> httpx2.AsyncClient:
        if self._pool is None:
            self._pool = httpx2.AsyncClient(
                transport=self._transport,
                verify=_tls(self.endpoint),
                trust_env=True,
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=self.endpoint.max_concurrency * 2),
                headers={"User-Agent": "testlab-mcp"},
            )
        return self._pool

    def _overloaded(self, reply: Reply, asked: float | None) -> LabError:
        if reply.status == 429:
            when = "" if asked is None else f"It asks to wait {asked:.0f} s"
            pause = f"Call again in {max(1, round(asked))} s." if asked else "Wait a few seconds and call again."
            return RateLimited(self.service, f"Service {self.service} is limiting requests", when, pause, asked or 0)
        return ServiceDown(
            self.service,
            f"Service {self.service} is not available (HTTP {reply.status})",
            "" if asked is None else f"It asks to wait {asked:.0f} s",
            "Call again later; `testlab-mcp doctor` shows its state.",
        )

    def _down(self, error: Exception) -> ServiceDown:
        return ServiceDown(
            self.service,
            f"Service {self.service} cannot be reached",
            _cause(error),
            f"Nothing is known about its state. Check the network and [services.{self.service}] url.",
        )

    def _lost(self, method: str, why: str) -> AnswerLost:
        return AnswerLost(
            self.service,
            f"Service {self.service} was sent the change ({method}) and did not answer",
            why,
            "It may or may not have happened: look before you try again.",
        )


def _cause(error: Exception) -> str:
    return _CAUSES.get(type(error).__name__, type(error).__name__)


_GATEWAY = frozenset({502, 504})
"""Bad Gateway and Gateway Timeout (RFC 9110 sections 15.6.3, 15.6.5): what the service behind it did is not known."""

_CAUSES = {
    "ConnectError": "The connection was refused, or its name or certificate is wrong",
    "ConnectTimeout": "Connecting took too long",
    "PoolTimeout": "All connections stayed busy",
    "ReadTimeout": "It took too long to answer",
    "TimeoutError": "It took too long to answer",
    "WriteTimeout": "It took too long to take the request",
    "ReadError": "The connection broke",
    "WriteError": "The connection broke",
    "CloseError": "The connection broke",
    "RemoteProtocolError": "The connection was closed, or the answer was not HTTP",
    "DecodingError": "The answer's compression is damaged",
}


def _tls(endpoint: Endpoint) -> ssl.SSLContext | bool:
    """The system's trust store, or the configured authority alone. Verification is never off."""
    if not endpoint.ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"Service {endpoint.service}'s ca_file cannot be used ({type(error).__name__})",
            "",
            f"[services.{endpoint.service}] ca_file must name a PEM file of certificates.",
        ) from None


def clock_skew(headers: Mapping[str, str]) -> float | None:
    """Seconds that the service's clock is ahead of ours, by its Date header."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp() - time.time()
    except (KeyError, ValueError):
        return None
