"""A caller's share of the outbox: the deliveries to its own services, and none to those it brings a token for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from testlab_tools.deliveries.outbox import Outbox
from testlab_tools.deliveries.parcel import Parcel
from testlab_tools.deliveries.progress import Kept
from testlab_tools.errors import NotFound, Unsupported

if TYPE_CHECKING:
    from testlab_tools.deliveries.store import Which

AT_ONCE = "Sent at once, and not written down before: its service takes callers' own tokens, which are not kept."


class OutboxShare:
    """What tools have of the outbox. `services` of None is all of them, those no longer configured among them.

    What goes to a service in `direct` is sent at once: only the call that brings it has the token for it.
    """

    def __init__(self, outbox: Outbox, services: Collection[str] | None, direct: Collection[str]) -> None:
        self._outbox = outbox
        self._services = services
        self._direct = direct

    def limited(self, services: Collection[str] | None) -> OutboxShare:
        """The share of somebody who has these services only."""
        return OutboxShare(self._outbox, services, self._direct)

    def resume(self) -> None:
        """As Outbox.resume."""
        self._outbox.resume()

    def takes(self, service: str) -> bool:
        """Whether what goes to a service can be written down: not where only the call that brings it has the token."""
        return service not in self._direct

    async def send(self, delivery_id: str, service: str, parcel: Parcel, contents: Sequence[bytes] = ()) -> Kept:
        """As Outbox.send, to a service that it `takes`."""
        return await self._outbox.send(delivery_id, service, parcel, contents)

    async def known(self, delivery_id: str) -> Kept | None:
        """As Outbox.known, of these services alone."""
        kept = await self._outbox.known(delivery_id)
        return None if kept is None or not self._shown(kept) else kept

    async def find(self, delivery_id: str) -> Kept:
        """A delivery by its id. Raises NotFound, of one to another's service as well."""
        kept = await self._outbox.find(delivery_id)
        if not self._shown(kept):
            raise NotFound("There is no such delivery", "", "list_deliveries shows those there are.")
        return kept

    async def list(self, which: Which, limit: int) -> tuple[list[Kept], int]:
        """As Outbox.list, of these services alone."""
        return await self._outbox.list(which, limit, self._services)

    async def release(self, delivery_id: str, service: str, changes: Mapping[str, str]) -> Kept:
        """As Outbox.release. Raises Unsupported where the caller's own token would be needed."""
        kept = await self.find(delivery_id)
        if (service or kept.service) in self._direct:
            raise Unsupported(
                f"Deliveries to {service or kept.service} are not kept",
                "It takes callers' own tokens",
                "Record the run with create_run.",
            )
        return await self._outbox.release(delivery_id, service, changes)

    def _shown(self, kept: Kept) -> bool:
        return self._services is None or kept.service in self._services
