"""Where a service is, and how patient to be with it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from testlab_tools.errors import ConfigError
from testlab_tools.http.retry import RetryPolicy


@dataclass(frozen=True)
class Endpoint:
    """Where a service is and how patient to be with it."""

    service: str
    url: str
    ca_file: str = ""
    timeout_seconds: float = 15.0
    max_concurrency: int = 8
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def at(self, path: str) -> str:
        """The URL of a path of the service."""
        return self.url.rstrip("/") + path

    def tls(self) -> ssl.SSLContext | bool:
        """The system's trust store, or the configured authority alone. Verification is never off."""
        if not self.ca_file:
            return True
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"Service {self.service}'s ca_file cannot be used ({type(error).__name__})",
                "",
                f"[services.{self.service}] ca_file must name a PEM file of certificates.",
            ) from None
