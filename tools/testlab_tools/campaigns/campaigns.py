"""What tools use of campaigns: start, read, list, cancel, as far as a caller may. The first use imports DBOS."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from testlab_tools.campaigns.announcing import ANNOUNCED_FAILURES, describe_event
from testlab_tools.campaigns.conclusions import summarize_conclusion
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.pace import Pace
from testlab_tools.campaigns.records import Campaign, ticket_id
from testlab_tools.durable.engine import Engine
from testlab_tools.durable.late_store import LateStore, database_error
from testlab_tools.errors import NotFound
from testlab_tools.long_services import LaunchServices
from testlab_tools.node_queue.queue import ReservationQueue, Ticket
from testlab_tools.notify.notifier import Notifier
from testlab_tools.repeated_calls import OrderResult

if TYPE_CHECKING:
    from testlab_tools.campaigns.reading import CampaignPage, CampaignReader, Details, Told
    from testlab_tools.campaigns.store import CampaignStore
    from testlab_tools.campaigns.worker import CampaignWorker
    from testlab_tools.durable.workflows import Workflows

WORKFLOW = "campaign"


class Campaigns:
    """The campaigns on the engine of a lab."""

    def __init__(self, engine: Engine, services: LaunchServices, queue: ReservationQueue, notifier: Notifier) -> None:
        self.engine = engine
        self.pace = Pace()
        self._services, self._queue, self._notifier = services, queue, notifier
        self._database = LateStore(engine, _open_store, _failure)
        engine.register(WORKFLOW, self._open_worker, self._tidy)

    async def start(
        self, order: CampaignOrder, names: Sequence[str], digest: str, spent_s: float = 0.0
    ) -> OrderResult[Campaign]:
        """Write a campaign down and have it run. The same call while that has not ended, or shortly after one whose
        answer may have been lost, gets the campaign of that call. `spent_s` is what the call has taken already."""
        now, seconds = self.engine.clock.now(), self.engine.clock.seconds()

        def write(store: CampaignStore) -> OrderResult[Campaign]:
            def goes_on(campaign_id: str) -> bool:
                known = store.read(campaign_id)
                return known is not None and not known.ended and known.cancel_at is None

            fresh = f"c{secrets.token_hex(5)}"
            campaign_id = store.calls.id_for(digest, fresh, goes_on, now)
            store.create(campaign_id, order, names, now.timestamp())
            store.calls.note_answer(digest, campaign_id, now, spent_s + self.engine.clock.seconds() - seconds)
            campaign = store.read(campaign_id)
            assert campaign is not None, "it was written just now"
            return OrderResult(campaign, campaign_id != fresh)

        started = await self._database.ask(write)
        self.engine.wake()
        return started

    async def start_as(self, campaign_id: str, order: CampaignOrder, names: Sequence[str]) -> None:
        """Write a campaign down under an id, unless there is one of that id, and have it run."""
        now = self.engine.clock.now().timestamp()
        await self._database.ask(lambda store: store.create(campaign_id, order, names, now))
        self.engine.wake()

    async def get(self, campaign_id: str, caller: str, all_callers: bool, services: Collection[str]) -> Campaign:
        """A campaign of the caller's, on a service of the caller's. Raises NotFound."""
        campaign: Campaign | None = await self._database.ask(lambda store: store.read(campaign_id))
        theirs = campaign is not None and (all_callers or campaign.order.caller == caller)
        if campaign is None or not theirs or campaign.order.service not in services:
            missing = NotFound("There is no such campaign", "", "list_campaigns shows those there are.")
            raise missing.naming(campaign_id)
        return campaign

    async def find(self, campaign_id: str) -> Campaign:
        """Anybody's campaign, for work of ours. Raises NotFound."""
        campaign: Campaign | None = await self._database.ask(lambda store: store.read(campaign_id))
        if campaign is None:
            raise NotFound("There is no such campaign", "", "").naming(campaign_id)
        return campaign

    async def read_all(self, campaign_ids: Collection[str]) -> Mapping[str, Campaign]:
        """Those of these campaigns that there are, by their ids."""
        return await self._database.ask(lambda store: {one.campaign_id: one for one in store.read_all(campaign_ids)})

    async def announce(self, campaign_id: str) -> None:
        """Tell receivers of a campaign that has ended, once each however often this is called."""
        if not self._notifier.receivers:
            return
        campaign = await self.find(campaign_id)
        if campaign.ended:
            details = await self.details(campaign, ANNOUNCED_FAILURES)
            await self._notifier.notify(describe_event(details.campaign, details.failures, details.tallies))

    async def details(self, campaign: Campaign, failures: int) -> Details:
        """What is known of a campaign, with its row as of the same moment and up to so many failures."""
        return await self._read(lambda reader: reader.details(campaign, failures))

    async def ticket(self, campaign: Campaign) -> Ticket | None:
        """The ticket by which a campaign waits for nodes, if it does."""
        waits = not campaign.ended and (campaign.started_at is None or campaign.tickets > 1)
        ticket = await self._queue.read(ticket_id(campaign.campaign_id, campaign.tickets)) if waits else None
        return ticket if ticket is not None and ticket.state == "waiting" else None

    async def list(
        self, caller: str, all_callers: bool, services: Collection[str], limit: int, after: Any
    ) -> tuple[CampaignPage, Mapping[str, str]]:
        """Campaigns, newest first, after the position `after`, and what soaks and bisections among them have come to,
        by their ids."""

        def read(reader: CampaignReader) -> tuple[CampaignPage, Mapping[str, str]]:
            page = reader.list(None if all_callers else caller, services, limit, after)
            soaks = [one for one in page.campaigns if one.order.is_open]
            told = {one.campaign_id: summarize_conclusion(one.order, reader.tallies(one.campaign_id)) for one in soaks}
            return page, told

        return await self._read(read)

    async def failed_tests(self, campaign: Campaign) -> list[str]:
        """The test cases of a campaign that failed or ended in an error, each once."""
        return await self._read(lambda reader: reader.failed_tests(campaign.campaign_id))

    async def write_report(
        self, campaign: Campaign, form: Literal["junit", "html"], write: Callable[[bytes], Awaitable[None]]
    ) -> int:
        """Write all results of a campaign, and return how many there were."""
        from testlab_tools.campaigns.report import CHUNK, NOT_RUN, write_junit, write_page

        def read(reader: CampaignReader) -> tuple[Details, list[Told], list[tuple[str, int]]]:
            one = campaign.campaign_id
            left = [] if campaign.order.is_open else reader.not_run(one, NOT_RUN)
            return reader.details(campaign, 1), list(reader.results(one)), left

        details, results, left = await self._read(read)
        parts = write_junit(details.campaign, results, left) if form == "junit" else write_page(details, results, left)
        while chunk := await asyncio.to_thread(lambda: "".join(islice(parts, CHUNK))):
            await write(chunk.encode())
        return len(results)

    async def cancel(self, campaign: Campaign) -> Campaign:
        """Have a campaign cancelled, and return it as it stands."""
        now = self.engine.clock.now().timestamp()
        await self._database.ask(lambda store: store.request_cancel(campaign.campaign_id, now))
        self.engine.wake()
        return await self._database.ask(lambda store: store.read(campaign.campaign_id))

    async def follow(self, campaign: Campaign, seconds: float, on_change: Callable[[Campaign], Any]) -> Campaign:
        """Wait until a campaign has ended and its nodes are given back, or so many seconds."""
        until = self.engine.clock.seconds() + seconds
        current = campaign
        while current.released_at is None and self.engine.clock.seconds() < until:
            await asyncio.sleep(min(1.0, max(0.05, until - self.engine.clock.seconds())))
            current = await self._database.ask(lambda store: store.read(campaign.campaign_id)) or current
            await on_change(current)
        return current

    async def _read(self, question: Callable[[CampaignReader], Any]) -> Any:
        def ask(store: CampaignStore) -> Any:
            from testlab_tools.campaigns.reading import CampaignReader

            with self.engine.workflows().snapshot() as snapshot:
                return question(CampaignReader(store, snapshot))

        return await self._database.ask(ask)

    def _tidy(self) -> None:
        self._database.open().tidy(self.engine.clock.now())

    def _open_worker(self) -> CampaignWorker:
        from testlab_tools.campaigns.worker import CampaignWorker

        store = self._database.open()
        return CampaignWorker(store, self._services, self._queue, self.engine.clock, self.pace, self.announce)


def _open_store(workflows: Workflows) -> CampaignStore:
    from testlab_tools.campaigns.store import CampaignStore

    return CampaignStore(workflows)


_failure = database_error(
    "campaigns", "Campaigns that run wait for it and go on. Call again later, or mend [durable] in the config."
)
