"""A `[services.NAME]` table of the config: what every kind of service takes. Each kind adds its own keys."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from testlab_tools.http import Credentials, Endpoint, Scheme, ServiceClient, Source, Token
from testlab_tools.signin import Provider

_TOKENS = ("token", "token_env", "token_file", "token_command", "token_keyring")


def token_header(service: str) -> str:
    """The HTTP header in which a caller brings its own token for a service.

    >>> token_header("lab_portal")
    'X-Testlab-Lab-Portal-Token'
    """
    return f"X-Testlab-{service.replace('_', '-').title()}-Token"


class ServiceSettings(BaseModel):
    """Keys of every service table. The `token…` keys exclude each other; `token_keyring` is `service/user`.

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
    token_keyring: str = Field(default="", pattern="^$|^.+/[^/]+$")
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
        given = self.token_keys()
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)}: give one of them")
        if given and self.credentials == "caller":
            raise ValueError(f'has {given[0]} and credentials = "caller": give one of them')
        return self

    def token_keys(self) -> list[str]:
        """The keys that say where the token is: one, or none."""
        return [key for key in _TOKENS if getattr(self, key)]

    def sign_in(self, service: str) -> Provider | None:
        """Where users sign in who have no token; None where the service has no such thing, or the table a token."""
        return None

    def endpoint(self, service: str) -> Endpoint:
        """Where this table says the service is."""
        return Endpoint(service, self.url, self.ca_file, self.timeout_seconds, self.max_concurrency)

    def client(self, service: str, scheme: Scheme) -> ServiceClient:
        """The HTTP client for this table; nothing is read or opened before the first request."""
        header = token_header(service) if self.credentials == "caller" else ""
        token = Token(
            value=self.token,
            env=self.token_env,
            file=self.token_file,
            command=self.token_command,
            keyring=self.token_keyring,
            header=header,
        )
        provider = None if header else self.sign_in(service)
        credentials = Credentials(service, scheme, token, _signed_in(provider) if provider else None)
        return ServiceClient(self.endpoint(service), credentials)


def _signed_in(provider: Provider) -> Source:
    """The sign-in of whoever runs this process; most configs have none, and need not import it."""
    from testlab_tools.signin.session import SignedIn
    from testlab_tools.signin.store import TokenStore

    return SignedIn(provider, TokenStore(provider))
