"""Reservations of a campaign: extended, and given back, as long as they are its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from testlab_tools.campaigns.holding import Holding
from testlab_tools.campaigns.pace import Pace
from testlab_tools.campaigns.records import CampaignNode, ticket_id
from testlab_tools.models.nodes import Reservation
from testlab_tools.node_queue.granter import marker

PACE = Pace()
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class _Service:
    """A service with one reservation, and a clock and tables of ours; the service's clock is `ahead` of ours."""

    def __init__(self, message: str, ahead: timedelta = timedelta()) -> None:
        self.message, self.passed, self.ended = message, timedelta(), list[str]()
        self.expires = BEGAN + ahead + timedelta(seconds=PACE.horizon_s)
        self.held = CampaignNode(node="n1", reservation_id="3", ticket=1, state="held", until=self.expires.timestamp())

    async def get_reservation(self, reservation_id: str) -> Reservation:
        return Reservation(
            reservation_id=reservation_id,
            node_id="n1",
            holder="us",
            yours=True,
            expires_at=self.expires,
            message=self.message,
        )

    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        self.expires += timedelta(seconds=seconds)
        return await self.get_reservation(reservation_id)

    async def end_reservation(self, reservation_id: str) -> bool:
        self.ended.append(reservation_id)
        return True

    def now(self) -> datetime:
        return BEGAN + self.passed

    def seconds(self) -> float:
        return self.passed.total_seconds()

    def nodes(self, _: str) -> list[CampaignNode]:
        return [self.held]

    def change_node(self, _: str, held: CampaignNode) -> None:
        self.held = held


async def hold(service: _Service) -> Holding:
    """What a campaign c1 holds there."""
    everything: Any = service
    holding = Holding(everything, everything, "c1", everything, PACE)
    await holding.load()
    return holding


OURS = f"Nightly {marker(ticket_id('c1', 1))}"


async def test_a_reservation_of_the_same_id_that_is_of_other_work_is_neither_ended_nor_extended() -> None:
    ours, theirs = _Service(OURS), _Service(f"Nightly {marker(ticket_id('c2', 1))}")
    for service, ended in ((ours, ["3"]), (theirs, [])):
        holding = await hold(service)
        assert await holding.extend() == ([] if ended else ["n1"])
        await holding.release()
        await holding.give_back()
        assert service.ended == ended
        assert not holding.left


async def test_a_reservation_is_extended_in_time_whichever_clock_is_wrong() -> None:
    for ahead in (timedelta(hours=5), timedelta(), timedelta(hours=-5)):
        service = _Service(OURS, ahead)
        holding = await hold(service)
        for _ in range(40):
            assert await holding.extend() == []
            service.passed += timedelta(seconds=PACE.extend_s)
            assert timedelta(seconds=PACE.horizon_s / 2) < service.expires - service.now() - ahead
            await holding.extend()
        assert service.expires - (service.now() + ahead) < timedelta(hours=4)
