"""The outbox as one caller may use it: only deliveries to its services, none to services it brings a token for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from testlab_tools.errors import NotFound, Unsupported
from testlab_tools.outbox.outbox import Outbox
from testlab_tools.outbox.payload import DeliveryRecord, Payload

if TYPE_CHECKING:
    from testlab_tools.outbox.store import Listed, Which

AT_ONCE = "Sent at once, and not written down before: its service takes callers' own tokens, which are not kept."


class ScopedOutbox:
    """`services` of None is all, those no longer configured among them.

    What goes to a service in `direct` is sent at once and not stored, since only the call has the token for it.
    """

    def __init__(self, outbox: Outbox, services: Collection[str] | None, direct: Collection[str]) -> None:
        self._outbox = outbox
        self._services = services
        self._direct = direct

    def restrict(self, services: Collection[str] | None) -> ScopedOutbox:
        """The outbox for somebody who has these services only."""
        return ScopedOutbox(self._outbox, services, self._direct)

    def resume(self) -> None:
        """As Outbox.resume."""
        self._outbox.resume()

    def accepts(self, service: str) -> bool:
        """Whether what goes to a service can be stored: not where only the call has the token."""
        return service not in self._direct

    async def send(
        self, delivery_id: str, service: str, payload: Payload, contents: Sequence[bytes] = (), spent_s: float = 0.0
    ) -> DeliveryRecord:
        """As Outbox.send, to a service that it `accepts`."""
        return await self._outbox.send(delivery_id, service, payload, contents, spent_s)

    async def delivery_for(self, digest: str, delivery_id: str) -> str:
        """As Outbox.delivery_for; the digest is of the caller, too."""
        return await self._outbox.delivery_for(digest, delivery_id)

    async def note_answer(self, digest: str, delivery_id: str, took_s: float) -> None:
        """As Outbox.note_answer."""
        await self._outbox.note_answer(digest, delivery_id, took_s)

    async def follow(self, delivery_id: str, spent_s: float) -> DeliveryRecord:
        """As Outbox.follow."""
        return await self._outbox.follow(delivery_id, spent_s)

    async def get(self, delivery_id: str) -> DeliveryRecord | None:
        """As Outbox.get, of these services alone."""
        record = await self._outbox.get(delivery_id)
        return None if record is None or not self._is_visible(record) else record

    async def find(self, delivery_id: str) -> DeliveryRecord:
        """A delivery by its id. Raises NotFound, also for a delivery to a service of somebody else."""
        record = await self._outbox.find(delivery_id)
        if not self._is_visible(record):
            raise NotFound("There is no such delivery", "", "list_deliveries shows those there are.")
        return record

    async def list(self, limit: int) -> dict[Which, Listed]:
        """As Outbox.list, of these services alone."""
        return await self._outbox.list(limit, self._services)

    async def release(self, delivery_id: str, service: str, changes: Mapping[str, str]) -> DeliveryRecord:
        """As Outbox.release. Raises Unsupported where the caller's own token would be needed."""
        record = await self.find(delivery_id)
        if (service or record.service) in self._direct:
            raise Unsupported(
                f"Deliveries to {service or record.service} are not kept",
                "It takes callers' own tokens",
                "Record the run with create_run.",
            )
        return await self._outbox.release(delivery_id, service, changes)

    async def discard(self, record: DeliveryRecord) -> None:
        """As Outbox.discard, of a delivery that was found here."""
        await self._outbox.discard(record)

    def _is_visible(self, record: DeliveryRecord) -> bool:
        return self._services is None or record.service in self._services
