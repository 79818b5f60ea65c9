"""What an adapter builds on, and the kinds of service there are.

Every folder of `testlab_tools.adapters` that holds an `adapter.py` is a kind. Its module exports `Settings`, the keys
of its `[services.NAME]` table, and `connect(name, settings)`. It is imported only when a config names its kind.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, cast
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from testlab_tools import adapters
from testlab_tools.capabilities import Service
from testlab_tools.errors import ConfigError, did_you_mean
from testlab_tools.http import Credentials, Endpoint, Scheme, ServiceClient, Source, Token
from testlab_tools.late_model import LateModel
from testlab_tools.signin import Provider

_TOKENS = ("token", "token_env", "token_file", "token_command", "token_keyring")


def token_header(service: str) -> str:
    """Return the HTTP header in which a caller brings its own token for a service.

    >>> token_header("lab_portal")
    'X-Testlab-Lab-Portal-Token'
    """
    return f"X-Testlab-{service.replace('_', '-').title()}-Token"


class ServiceSettings(LateModel):
    """Keys of every service table."""

    model_config = ConfigDict(extra="forbid")
    example: ClassVar[dict[str, object]] = {}
    """The keys a table cannot do without, for a service that is never asked."""
    place: ClassVar[str] = "url"
    """The key that says where the service is."""

    kind: str = Field(description="which kind of service it is")

    @property
    def by_caller(self) -> bool:
        """Whether each caller brings credentials of its own for the service."""
        return False

    def sign_in(self, service: str) -> Provider | None:
        """Return where users sign in who have no token; None where the service has no sign-in, or the table a token."""
        return None


class HttpServiceSettings(ServiceSettings):
    """Keys of a service reached over HTTP. The `token…` keys exclude each other; `token_keyring` is `service/user`.

    With `credentials = "caller"` none of them is given: each caller brings its own token.
    """

    example: ClassVar[dict[str, object]] = {"url": "http://127.0.0.1"}

    url: str = Field(description="where the service is")
    credentials: Literal["config", "caller"] = Field(
        default="config",
        description="whose token: this table's, or each caller's own in the header `X-Testlab-<Service>-Token`",
    )
    token: SecretStr | None = Field(
        default=None, description="the token itself; give at most one of the five `token…` keys"
    )
    token_env: str = Field(default="", description="a variable that holds it")
    token_file: str = Field(default="", description="a file that holds it, for your eyes only (`chmod 600`)")
    token_command: str = Field(default="", description="a command that prints it")
    token_keyring: str = Field(
        default="",
        pattern="^$|^.+/[^/]+$",
        description="`service/user`, an entry of the system's keyring (needs `testlab-mcp[keyring]`)",
    )
    ca_file: str = Field(default="", description="a PEM file of certificates to trust instead of the system's")
    timeout_seconds: float = Field(default=15.0, gt=0, le=40, description="of one request")
    max_concurrency: int = Field(default=8, ge=1, le=64, description="requests at once")

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
        """Return the keys that say where the token is: one, or none."""
        return [key for key in _TOKENS if getattr(self, key)]

    @property
    def by_caller(self) -> bool:
        return self.credentials == "caller"

    def endpoint(self, service: str) -> Endpoint:
        """Return where this table says the service is."""
        return Endpoint(service, self.url, self.ca_file, self.timeout_seconds, self.max_concurrency)

    def client(self, service: str, scheme: Scheme) -> ServiceClient:
        """Make the HTTP client for this table; nothing is read or opened before the first request."""
        header = token_header(service) if self.by_caller else ""
        token = Token(
            value=self.token,
            env=self.token_env,
            file=self.token_file,
            command=self.token_command,
            keyring=self.token_keyring,
            header=header,
        )
        provider = None if header else self.sign_in(service)
        credentials = Credentials(service, scheme, token, _sign_in_source(provider) if provider else None)
        return ServiceClient(self.endpoint(service), credentials)


def _sign_in_source(provider: Provider) -> Source:
    """The sign-in of whoever runs this process; most configs have none, and need not import it."""
    from testlab_tools.signin.session import SignedIn, TokenStore

    return SignedIn(provider, TokenStore(provider))


class HttpService(Service):
    """A service that is asked through `client`."""

    def __init__(self, name: str, client: ServiceClient) -> None:
        super().__init__(name)
        self.client = client

    @property
    def location(self) -> str:
        return self.client.endpoint.url

    async def aclose(self) -> None:
        await self.client.aclose()


class Kind(Protocol):
    """What an adapter module exports."""

    Settings: type[ServiceSettings]

    def connect(self, name: str, settings: Any) -> Service:
        """Make the service of a config table. Opens nothing: the first request does."""
        ...


def known_kinds() -> list[str]:
    """Return the names of all kinds, sorted."""
    found = {p.parent.name for root in adapters.__path__ for p in Path(root).glob("*/adapter.py")}
    return sorted(found)


def load_kind(name: str) -> Kind:
    """Import the adapter module of a kind. Raises ConfigError naming the nearest known kind."""
    kinds = known_kinds()
    if name not in kinds:
        hint = did_you_mean(name, kinds, f"Known kinds: {', '.join(kinds)}.")
        raise ConfigError(f"there is no kind of service {name!r}", "", hint)
    return cast(Kind, importlib.import_module(f"testlab_tools.adapters.{name}.adapter"))
