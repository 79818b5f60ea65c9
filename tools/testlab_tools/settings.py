"""A `[services.NAME]` table of the config: what every kind of service takes. Each kind adds its own keys."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from testlab_tools.http import Credentials, Endpoint, Scheme, ServiceClient, Token


def token_header(service: str) -> str:
    """The HTTP header in which a caller brings its own token for a service.

    >>> token_header("lab_portal")
    'X-Testlab-Lab-Portal-Token'
    """
    return f"X-Testlab-{service.replace('_', '-').title()}-Token"


class ServiceSettings(BaseModel):
    """Keys of every service table. `token_env`, `token_file`, `token_command` and `token` exclude each other.

    With `credentials = "caller"` none of them is given: each caller brings its own token.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)
    example: ClassVar[str] = ""

    kind: str
    url: str
    credentials: Literal["config", "caller"] = "config"
    token: SecretStr | None = None
    token_env: str = ""
    token_file: str = ""
    token_command: str = ""
    ca_file: str = ""
    timeout_seconds: float = Field(default=15.0, gt=0, le=40)
    max_concurrency: int = Field(default=8, ge=1, le=64)

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must be a plain URL: no user, password, query or fragment")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _one_token(self) -> Any:
        given = [k for k in ("token", "token_env", "token_file", "token_command") if getattr(self, k)]
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)}: give one of them")
        if given and self.credentials == "caller":
            raise ValueError(f'has {given[0]} and credentials = "caller": give one of them')
        return self

    def client(self, service: str, scheme: Scheme) -> ServiceClient:
        """The HTTP client for this table; nothing is read or opened before the first request."""
        header = token_header(service) if self.credentials == "caller" else ""
        token = Token(self.token, self.token_env, self.token_file, self.token_command, header)
        endpoint = Endpoint(service, self.url, self.ca_file, self.timeout_seconds, self.max_concurrency)
        return ServiceClient(endpoint, Credentials(service, scheme, token))
