"""A HardPy operator panel, https://everypin.github.io/hardpy/documentation/hardpy_panel/

    [services.bench]
    kind = "hardpy"
    url = "http://localhost:8000"      # what `hardpy run` prints

The panel has no sign-in: whoever reaches its port can start and stop tests. So plain http is taken from this machine
alone, unless the table says `allow_insecure = true`. A token is sent only where one is given, to a proxy in front of
the panel. What answers secrets there is never asked for: `/api/hardpy_config` and `/api/couch`.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from testlab_tools.adapters.hardpy.client import NoCredentials
from testlab_tools.adapters.hardpy.history import StandHistory
from testlab_tools.adapters.hardpy.jobs import Jobs
from testlab_tools.http import Scheme, ServiceClient
from testlab_tools.services import HttpServiceSettings


class Settings(HttpServiceSettings):
    """Keys of a `kind = "hardpy"` table: those every service takes, of which the token is not needed."""

    allow_insecure: bool = Field(
        default=False, description="take an http:// url of another machine: the panel has no sign-in, nor encryption"
    )

    @model_validator(mode="after")
    def _within_this_machine(self) -> Settings:
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not self.allow_insecure and not _is_loopback(parts.hostname or ""):
            raise ValueError(
                "url is http:// on another machine, and a HardPy panel has no sign-in: give the https:// url of a "
                "proxy that asks for one, or allow_insecure = true"
            )
        return self

    def client(self, service: str, scheme: Scheme) -> ServiceClient:
        if self.token_keys() or self.by_caller:
            return super().client(service, scheme)
        return ServiceClient(self.endpoint(service), NoCredentials(service))


class HardPy(Jobs, StandHistory):
    """A stand: one node, a runner of its tests, the dialogs of a running test, and an archive of its runs."""


def connect(name: str, settings: Settings) -> HardPy:
    """The stand whose panel is at `settings.url`."""
    return HardPy(name, settings.client(name, "bearer"))


def _is_loopback(host: str) -> bool:
    if host.rstrip(".").casefold() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
