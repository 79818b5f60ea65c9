"""labgrid's places, resources and reservations, as its coordinator tells them.

`labgrid/remote/proto/labgrid-coordinator.proto` of labgrid 26.0 has the messages, and `labgrid/remote/common.py` what
they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

STATES = ("waiting", "allocated", "acquired", "expired", "invalid")
"""`ReservationState`, by number."""
OPEN = ("waiting", "allocated", "acquired")


class Path(NamedTuple):
    """What names a resource."""

    exporter: str
    group: str
    cls: str
    name: str


class Match(NamedTuple):
    """A pattern of a place: the resources that belong to it. `name` is empty where it does not matter."""

    exporter: str
    group: str
    cls: str
    name: str

    def fits(self, path: Path) -> bool:
        """As `ResourceMatch.ismatch`."""
        pairs = ((path.exporter, self.exporter), (path.group, self.group), (path.cls, self.cls))
        return all(fnmatchcase(text, glob) for text, glob in pairs) and (
            not (path.name and self.name) or fnmatchcase(path.name, self.name)
        )

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


@dataclass(frozen=True)
class Place:
    """A board with what is wired to it. `acquired` is `host/user` of who has it, `allowed` are others who may use it
    as well, `reservation` the token of the reservation that has been given it."""

    name: str
    comment: str = ""
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    matches: tuple[Match, ...] = ()
    acquired: str = ""
    allowed: tuple[str, ...] = ()
    reservation: str = ""

    def of(self, resources: Iterable[Resource]) -> list[Resource]:
        """Those of the resources that belong to it."""
        return [resource for resource in resources if any(match.fits(resource.path) for match in self.matches)]

    def unmatched(self, resources: Iterable[Resource]) -> list[Match]:
        """Patterns that no resource of an exporter fits, be it available now or not: a boot loader's USB device comes
        when the board is switched on."""
        there = [resource.path for resource in resources]
        return [match for match in self.matches if not any(match.fits(path) for path in there)]


@dataclass(frozen=True)
class Resource:
    """Something an exporter offers: a power port, a serial port. `params` are its addresses and settings."""

    path: Path
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    available: bool = False


@dataclass(frozen=True)
class QueuedReservation:
    """A place in labgrid's queue: `state` is one of STATES, or the number of one that is new; `wanted` are the tags (or
    `name`) that a place must have, `place` the one it was given."""

    token: str
    owner: str
    state: str
    priority: float
    created: datetime
    wanted: Mapping[str, str]
    place: str = ""

    def could_take(self, place: Place) -> bool:
        """Whether it waits for such a place (`schedule_reservations`)."""
        return set(self.wanted.items()) <= {*place.tags.items(), ("name", place.name)}


def read_place(message: Any) -> Place:
    """A `Place` of the protocol."""
    return Place(
        name=message.name,
        comment=message.comment,
        aliases=tuple(message.aliases),
        tags=dict(message.tags),
        matches=tuple(Match(m.exporter, m.group, m.cls, m.name) for m in message.matches),
        acquired=message.acquired,
        allowed=tuple(message.allowed),
        reservation=message.reservation,
    )


def read_resource(message: Any) -> Resource:
    """A `Resource` of the protocol."""
    at = message.path
    params = {key: _value(value) for key, value in message.params.items()}
    path = Path(at.exporter_name, at.group_name, message.cls, at.resource_name)
    return Resource(path, params, message.avail)


def read_reservation(message: Any) -> QueuedReservation:
    """A `Reservation` of the protocol."""
    number: int = message.state
    wanted: dict[str, str] = dict(message.filters["main"].filter) if "main" in message.filters else {}
    return QueuedReservation(
        token=message.token,
        owner=message.owner,
        state=STATES[number] if 0 <= number < len(STATES) else str(number),
        priority=message.prio,
        created=datetime.fromtimestamp(message.created, UTC),
        wanted=wanted,
        place=message.allocations.get("main", ""),
    )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind else None
