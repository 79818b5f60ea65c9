"""Where a service's users sign in, and what is asked for there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from testlab_tools.errors import ConfigError
from testlab_tools.http.endpoint import Endpoint

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
        """Its name in the config."""
        return self.endpoint.service

    @property
    def remedy(self) -> str:
        """What to do where there is no sign-in, or it has ended."""
        return f"Run `testlab-mcp login {self.service}`."

    @property
    def key(self) -> str:
        """Names a sign-in: by where it was made and what for, so that tokens never go to another server."""
        where = "\n".join((self.endpoint.url, self.token_path, self.client_id, self.scope, self.audience))
        return hashlib.sha256(where.encode()).hexdigest()[:24]

    def missing(self) -> ConfigError:
        """Nobody has signed in."""
        return ConfigError(f"Service {self.service} needs you to sign in", "Nobody has on this machine", self.remedy)

    def ended(self) -> ConfigError:
        """The sign-in is no longer good for tokens."""
        return ConfigError(f"The sign-in to service {self.service} has ended", "", self.remedy)

    def check(self) -> None:
        """Raise ConfigError where tokens would travel in the clear."""
        if not guarded(self.endpoint.url):
            raise ConfigError(
                f"Service {self.service} cannot be signed in to over http",
                "Tokens would travel in the clear",
                f"Set [services.{self.service}] url to its https:// address.",
            )


def guarded(url: str) -> bool:
    """Whether what is sent to a URL stays between us and it: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
