"""What every service is, whatever it can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from testlab_tools.http import ServiceClient


class Service(ABC):
    """A configured instance of one kind of service."""

    kind: str

    def __init__(self, name: str, client: ServiceClient) -> None:
        self.name = name
        self.client = client

    def handle(self, native: str) -> str:
        """The handle of one of this service's native ids."""
        return f"{self.name}:{native}"

    @abstractmethod
    async def probe(self) -> Health:
        """Ask the cheapest question that needs the token, and say who we are to the service."""

    async def aclose(self) -> None:
        """Release the connections."""
        await self.client.aclose()


class Health(NamedTuple):
    """A service that answered: `account` as it knows us, `clock_skew_s` its clock ahead of ours (None: not said)."""

    account: str
    clock_skew_s: float | None = None
