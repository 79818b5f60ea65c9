"""Forms posted to an authorization server, over TLS that is always verified."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import httpx2

from testlab_tools.errors import BadReply, RateLimited, ServiceDown
from testlab_tools.http.failures import failure_of, refuse_redirect, too_large
from testlab_tools.signin.provider import Provider
from testlab_tools.signin.tokens import Tokens, token_reply

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
MOST_BYTES = 2**20
MOST_SECONDS = 10.0


class Answer(NamedTuple):
    """A JSON object that came with HTTP 200, or the `error` code of a refusal."""

    body: dict[str, Any]
    error: str = ""


async def post(provider: Provider, path: str, form: Mapping[str, str]) -> Answer:
    """Post a form once.

    Raises:
        ConfigError: the connection would not be guarded.
        ServiceDown: no answer, or 5xx.
        BadReply: neither a JSON object nor an OAuth error (RFC 6749 section 5.2).
    """
    provider.check()
    endpoint, service = provider.endpoint, provider.service
    seconds = min(endpoint.timeout_seconds, MOST_SECONDS)
    client = httpx2.AsyncClient(verify=endpoint.tls(), trust_env=True, follow_redirects=False, timeout=seconds)
    headers = {"Accept": "application/json", "User-Agent": "testlab-mcp"}
    url = endpoint.at(path)
    try:
        async with (
            client,
            asyncio.timeout(seconds + 1),
            client.stream("POST", url, data=form, headers=headers) as reply,
        ):
            content = b""
            async for chunk in reply.aiter_bytes():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise too_large(service, MOST_BYTES)
    except (httpx2.TransportError, httpx2.DecodingError, httpx2.InvalidURL, TimeoutError) as error:
        raise failure_of(service, error) from None
    refuse_redirect(service, reply.status_code)
    return _answer(service, reply.status_code, content)


async def token(provider: Provider, form: Mapping[str, str], now: float, before: Tokens | None = None) -> Tokens | str:
    """Tokens for a grant, or the error code why not. Raises as `post` does."""
    answer = await post(provider, provider.token_path, {**form, "client_id": provider.client_id})
    if answer.error:
        return answer.error
    told = token_reply(answer.body)
    tokens = told.tokens(now, before) if told else None
    if tokens is None:
        raise BadReply(
            provider.service,
            f"Service {provider.service} answered the sign-in without the tokens it needs",
            "An access token and a refresh token, both of plain text",
            "Check that url in its config table points at the service itself.",
        )
    return tokens


def _answer(service: str, status: int, content: bytes) -> Answer:
    if status == 429:
        raise RateLimited(service, f"Service {service} is limiting sign-ins", "", "Wait a minute, then call again.")
    if status >= 500:
        raise ServiceDown(service, f"Service {service}'s sign-in failed (HTTP {status})", "", "Call again later.")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        told = cast(dict[str, Any], body)
        if status == 200:
            return Answer(told)
        if isinstance(error := told.get("error"), str) and error:
            return Answer({}, error)
    raise BadReply(
        service,
        f"Service {service}'s sign-in answered with HTTP {status} and nothing that OAuth knows",
        "",
        "It may have no sign-in at this url; use an API key instead.",
    )
