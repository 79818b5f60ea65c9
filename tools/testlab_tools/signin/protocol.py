"""An authorization server's endpoints, the forms posted to them over verified TLS, and the tokens it answers with."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
from pydantic import ConfigDict, Field, SecretStr, ValidationError

from testlab_tools.bounded_json import load_json
from testlab_tools.errors import BadReply, ConfigError, RateLimited, ServiceDown
from testlab_tools.http.errors import failure_of, refuse_redirect, too_large
from testlab_tools.http.policy import Endpoint
from testlab_tools.late_model import LateModel

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Provider:
    """The endpoints of an authorization server and this client's registration there.

    Paths are below the service's URL. `scope` is separated by spaces; `audience` is what the tokens are for.
    """

    endpoint: Endpoint
    device_path: str
    token_path: str
    client_id: str
    scope: str
    audience: str = ""

    @property
    def service(self) -> str:
        """The service's name in the config."""
        return self.endpoint.service

    @property
    def remedy(self) -> str:
        """What a user does where there is no sign-in, or it has ended."""
        return f"Run `testlab-mcp login {self.service}`."

    @property
    def key(self) -> str:
        """Names a sign-in by its server and its purpose, so that tokens never go to another server."""
        where = "\n".join((self.endpoint.url, self.token_path, self.client_id, self.scope, self.audience))
        return hashlib.sha256(where.encode()).hexdigest()[:24]

    def missing_error(self) -> ConfigError:
        """The error where nobody has signed in."""
        return ConfigError(f"Service {self.service} needs you to sign in", "Nobody has on this machine", self.remedy)

    def ended_error(self) -> ConfigError:
        """The error where the refresh token is no longer valid."""
        return ConfigError(f"The sign-in to service {self.service} has ended", "", self.remedy)

    def check(self) -> None:
        """Raise ConfigError where tokens would travel in the clear."""
        if not is_protected(self.endpoint.url):
            raise ConfigError(
                f"Service {self.service} cannot be signed in to over http",
                "Tokens would travel in the clear",
                f"Set [services.{self.service}] url to its https:// address.",
            )


def is_protected(url: str) -> bool:
    """Whether nobody else can read what is sent to a URL: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


EARLY_SECONDS = 60
"""Tokens are renewed this long before they expire, as hardpy does."""
_LASTING_SECONDS = 3600
"""How long an access token is taken to last where the server does not say (RFC 6749 section 5.1: it may not)."""


class Tokens(LateModel):
    """An access token until `expires_at` (Unix time), and the refresh token that gets the next. `sign_in` is a name of
    ours for the sign-in they come from; empty in tokens of older versions until they are renewed."""

    model_config = ConfigDict(frozen=True)

    access_token: SecretStr
    refresh_token: SecretStr
    expires_at: float
    sign_in: str = ""

    def is_fresh(self, now: float) -> bool:
        """Whether it can be used without being renewed first."""
        return self.expires_at - now > EARLY_SECONDS

    def to_json(self) -> str:
        """The tokens in plain text, for the store alone."""
        secrets = {"access_token": self.access_token, "refresh_token": self.refresh_token}
        plain = {name: secret.get_secret_value() for name, secret in secrets.items()}
        return json.dumps({**plain, "expires_at": self.expires_at, "sign_in": self.sign_in})

    @classmethod
    def from_json(cls, text: str) -> Tokens | None:
        """What `to_json` returned; None for anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None


class _TokenReply(LateModel):
    """A token endpoint's answer (RFC 6749 section 5.1)."""

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr | None = None
    expires_in: float | None = None

    def to_tokens(self, now: float, before: Tokens | None = None) -> Tokens | None:
        """The tokens as of `now`; a refresh token that is not replaced stays. None if one is missing or malformed."""
        refresh = self.refresh_token or (before.refresh_token if before else None)
        usable = all(_is_sendable(secret) for secret in (self.access_token, refresh) if secret)
        if refresh is None or not usable:
            return None
        lasting = _LASTING_SECONDS if self.expires_in is None else self.expires_in
        sign_in = (before.sign_in if before else "") or token_hex(8)
        return Tokens(access_token=self.access_token, refresh_token=refresh, expires_at=now + lasting, sign_in=sign_in)


def _is_sendable(secret: SecretStr) -> bool:
    text = secret.get_secret_value()
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
MAX_BYTES = 2**20
MAX_SECONDS = 10.0


async def post_form(provider: Provider, path: str, form: Mapping[str, str]) -> dict[str, Any] | str:
    """Post a form once, and return the JSON object that came with HTTP 200, or the error code of the refusal.

    Raises:
        ConfigError: the connection would not be encrypted.
        ServiceDown: no answer, or 5xx.
        BadReply: neither a JSON object nor an OAuth error (RFC 6749 section 5.2).
    """
    provider.check()
    endpoint, service = provider.endpoint, provider.service
    seconds = min(endpoint.timeout_seconds, MAX_SECONDS)
    client = httpx2.AsyncClient(verify=endpoint.tls(), trust_env=True, follow_redirects=False, timeout=seconds)
    headers = {"Accept": "application/json", "User-Agent": "testlab-mcp"}
    asked = client.stream("POST", endpoint.at(path), data=form, headers=headers)
    try:
        async with client, asyncio.timeout(seconds + 1), asked as reply:
            content = b""
            async for chunk in reply.aiter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise too_large(service, MAX_BYTES)
    except (httpx2.TransportError, httpx2.DecodingError, httpx2.InvalidURL, TimeoutError) as error:
        raise failure_of(service, error) from None
    refuse_redirect(service, reply.status_code)
    return _read_answer(service, reply.status_code, content)


async def request_tokens(
    provider: Provider, form: Mapping[str, str], now: float, before: Tokens | None = None
) -> Tokens | str:
    """Tokens for a grant, or the error code of the refusal. Raises as `post_form` does."""
    answer = await post_form(provider, provider.token_path, {**form, "client_id": provider.client_id})
    if isinstance(answer, str):
        return answer
    try:
        tokens = _TokenReply.model_validate(answer).to_tokens(now, before)
    except ValidationError:
        tokens = None
    if tokens is None:
        raise BadReply(
            provider.service,
            f"Service {provider.service} answered the sign-in without the tokens it needs",
            "An access token and a refresh token, both of plain text",
            "Check that url in its config table points at the service itself.",
        )
    return tokens


def _read_answer(service: str, status: int, content: bytes) -> dict[str, Any] | str:
    if status == 429:
        raise RateLimited(service, f"Service {service} is limiting sign-ins", "", "Wait a minute, then call again.")
    if status >= 500:
        raise ServiceDown(service, f"Service {service}'s sign-in failed (HTTP {status})", "", "Call again later.")
    try:
        body: object = load_json(content)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        fields = cast(dict[str, Any], body)
        if status == 200:
            return fields
        if isinstance(error := fields.get("error"), str) and error:
            return error
    raise BadReply(
        service,
        f"Service {service}'s sign-in answered with HTTP {status} and nothing that OAuth knows",
        "",
        "It may have no sign-in at this url; use an API key instead.",
    )
