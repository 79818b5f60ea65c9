"""What every service is, whatever it can do and however it is reached."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Collection, Sequence
from typing import NamedTuple


class Handle(NamedTuple):
    """A handle, `<service>:<native id>`: the only ids that tools return and the ones they take back.

    `portal:/stb-tester-abcdef123456/0a23/972` is service `portal`, native id `/stb-tester-abcdef123456/0a23/972`.
    `service` is empty for a bare native id.
    """

    service: str
    native: str

    def __str__(self) -> str:
        return f"{self.service}:{self.native}"

    @classmethod
    def parse(cls, text: str, services: Collection[str]) -> Handle:
        """Split at the first colon, if what stands before it is the name of a configured service."""
        head, colon, tail = text.strip().partition(":")
        if colon and head in services:
            return cls(head, tail)
        return cls("", text.strip())


class _CapabilityMeta(ABCMeta):
    """Makes `isinstance(service, RunArchive)` true as well for a stand-in of a service that has this capability."""

    def __instancecheck__(cls, instance: object) -> bool:
        return super().__instancecheck__(instance) or cls in getattr(instance, "stands_in_as", ())


class Service(metaclass=_CapabilityMeta):
    """A configured service. It may be reached over HTTP (`testlab_tools.http.service`), or be a folder of files.

    `limits` says in a few words what it cannot do of what its capabilities promise. `stands_in_as` are the capabilities
    that it offers in place of another service, without inheriting them.
    """

    kind: str
    limits: str = ""
    stands_in_as: frozenset[type[Service]] = frozenset()

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def location(self) -> str:
        """Where the service is: two that share a name and not a location are two services."""
        return ""

    @property
    def unscoped(self) -> Service:
        """The service itself, where this is one caller's part of it."""
        return self

    def handle(self, native: str) -> str:
        """The handle of one of this service's native ids."""
        return f"{self.name}:{native}"

    def native(self, handle: str) -> str:
        """The native id in one of this service's handles."""
        return handle.removeprefix(f"{self.name}:")

    @abstractmethod
    async def probe(self) -> Health:
        """Ask the cheapest question that needs the credentials, and say who we are to the service."""

    async def aclose(self) -> None:
        """Release what is open: connections, files."""
        return


class Health(NamedTuple):
    """A service that answered: `account` as it knows us, `clock_skew_s` its clock ahead of ours (None: not said), and
    what else whoever runs it should know of it, line by line."""

    account: str
    clock_skew_s: float | None = None
    notes: Sequence[str] = ()
