"""The tables of the config that say who may call over HTTP: `[http]`, `[http.oauth]` and `[callers.NAME]`."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from testlab_tools.registry import Access, Toolset

ToolsetName = Literal["default", "all"] | Toolset
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _secure(url: str) -> str:
    """A URL that secrets may be sent to: https, or this machine."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be a plain URL: no user, password, query or fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError("must be an https:// URL (http:// only for this machine)")
    return url


class OAuthSettings(BaseModel):
    """The `[http.oauth]` table: whose tokens (JWTs) are accepted, and which claims say who calls and what they may do.

    `audience` is the server's public_url unless given; `jwks_url` is found in the issuer's metadata unless given.
    """

    model_config = ConfigDict(extra="forbid")

    issuer: str
    audience: str = ""
    jwks_url: str = ""
    access_claim: str = Field(default="scope", min_length=1)
    caller_claim: str = Field(default="sub", min_length=1)

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _https(cls, url: str) -> str:
        return _secure(url) if url else url


class HttpSettings(BaseModel):
    """The `[http]` table. `state_key_env` or `state_key_file` hold the keys that replicas share, the newest first."""

    model_config = ConfigDict(extra="forbid")

    public_url: str = ""
    allowed_origins: list[str] = []
    calls_per_minute: int = Field(default=120, ge=0, description="of each caller; 0 for no bound")
    state_key_env: str = ""
    state_key_file: str = ""
    oauth: OAuthSettings | None = None

    @field_validator("public_url")
    @classmethod
    def _public(cls, url: str) -> str:
        return _secure(url).rstrip("/") if url else url

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or f"{parts.scheme}://{parts.netloc}" != origin
            ):
                raise ValueError("must be origins: scheme://host or scheme://host:port, without a path")
        return origins

    @model_validator(mode="after")
    def _whole(self) -> Any:
        if self.state_key_env and self.state_key_file:
            raise ValueError("has state_key_env and state_key_file: give one of them")
        if self.oauth is not None and not self.public_url:
            raise ValueError("has [http.oauth] and no public_url: clients find the sign-in by it")
        return self


class CallerSettings(BaseModel):
    """A `[callers.NAME]` table. Left out, `toolsets`, `nodes` and `services` do not narrow what `[server]` allows.

    `access` left out is observe for a static token, and what the token's claim grants for an OAuth subject.
    """

    model_config = ConfigDict(extra="forbid")

    token_sha256: str = Field(default="", repr=False)
    subject: str = ""
    access: Access | None = None
    toolsets: list[ToolsetName] = ["all"]
    allow: list[str] = []
    deny: list[str] = []
    nodes: list[str] | None = None
    services: list[str] | None = None

    @field_validator("token_sha256")
    @classmethod
    def _digest(cls, text: str) -> str:
        if text and not _SHA256.fullmatch(text.lower()):
            raise ValueError("must be 64 hexadecimal digits; `testlab-mcp token new NAME` makes them")
        return text.lower()

    @model_validator(mode="after")
    def _known_by_something(self) -> Any:
        if not self.token_sha256 and not self.subject:
            raise ValueError("has neither token_sha256 nor subject; `testlab-mcp token new NAME` makes a token")
        return self
