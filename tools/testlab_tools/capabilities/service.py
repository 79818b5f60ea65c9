"""What every service is, whatever it can do and however it is reached."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import NamedTuple


class _CapabilityMeta(ABCMeta):
    """Makes `isinstance(service, RunArchive)` true as well for a stand-in of a service that has this capability."""

    def __instancecheck__(cls, instance: object) -> bool:
        return super().__instancecheck__(instance) or cls in getattr(instance, "stands_in_as", ())


class Service(metaclass=_CapabilityMeta):
    """A configured service. It may be reached over HTTP (`testlab_tools.http.service`), or be a folder of files.

    `stands_in_as` are the capabilities that it offers in place of another service, without inheriting them.
    """

    kind: str
    stands_in_as: frozenset[type[Service]] = frozenset()

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def location(self) -> str:
        """Where the service is: two that share a name and not a location are two services."""
        return ""

    def handle(self, native: str) -> str:
        """The handle of one of this service's native ids."""
        return f"{self.name}:{native}"

    @abstractmethod
    async def probe(self) -> Health:
        """Ask the cheapest question that needs the credentials, and say who we are to the service."""

    async def aclose(self) -> None:
        """Release what is open: connections, files."""
        return


class Health(NamedTuple):
    """A service that answered: `account` as it knows us, `clock_skew_s` its clock ahead of ours (None: not said)."""

    account: str
    clock_skew_s: float | None = None
