"""Campaigns in the database: written by the runner of each, read by the tools of any process. Blocks."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from testlab_tools.campaigns.counting import Verdict
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.records import COUNTERS, ENDED, Batch, Campaign, CampaignNode
from testlab_tools.campaigns.sharing import Work
from testlab_tools.campaigns.tables import Tables
from testlab_tools.durable.calls import CallIndex
from testlab_tools.durable.workflows import Workflows
from testlab_tools.models.lab import Outcome

WORKFLOW = "campaign"
KEPT_FOR, CALLS_KEPT_FOR = timedelta(days=90), timedelta(days=7)
"""How long campaigns stay in the database after their end, and calls that started any."""
ROWS = 5_000
"""Inserted by one statement."""


class Superseded(Exception):
    """Another process runs the campaign now."""


class Loaded(NamedTuple):
    """What a runner begins with: work that waits, batches that have not ended with the work of each that has no result
    yet, the names of the test cases, and the last numbers given to a batch and to an attempt."""

    waiting: list[Work]
    open: list[tuple[Batch, list[tuple[int, Work]]]]
    names: list[str]
    last_batch: int
    last_sequence: int


class CampaignStore:
    """Reads and writes campaigns; runs none."""

    def __init__(self, workflows: Workflows) -> None:
        """Create the tables if need be. Raises what SQLAlchemy raises when the database refuses."""
        self._workflows = workflows
        self.tables = Tables(workflows)
        self.calls = CallIndex(workflows, "campaign_calls", "campaign_id")

    def create(self, campaign_id: str, order: CampaignOrder, names: Sequence[str], now: float) -> None:
        """Write down a campaign with all its items, to be run by the leader. Does nothing where it is there."""
        row = {
            "campaign_id": campaign_id,
            "caller": order.caller,
            "service": order.service,
            "order": order.model_dump_json(),
            "state": "queued",
            "created_at": now,
            "tickets": 1,
            "epoch": 0,
            "tests": len(names),
            "items": len(names) * order.repeat,
        }
        try:
            with self._workflows.transaction() as connection:
                connection.execute(self.tables.campaigns.insert().values(row))
                tests = [{"campaign_id": campaign_id, "number": n, "name": name} for n, name in enumerate(names)]
                self._insert(connection, self.tables.tests, tests)
                self._insert(connection, self.tables.items, self._items(campaign_id, 0, self._every_test(names, order)))
                self._workflows.enqueue(WORKFLOW, campaign_id, [campaign_id], connection)
        except IntegrityError:
            if self.read(campaign_id) is None:
                raise

    def read(self, campaign_id: str) -> Campaign | None:
        """A campaign as it stands."""
        return next(iter(self.read_all([campaign_id])), None)

    def read_all(self, campaign_ids: Collection[str], snapshot: sa.Connection | None = None) -> list[Campaign]:
        """The campaigns of these ids. PostgreSQL takes no NUL, and no id has one."""
        wanted = [one for one in campaign_ids if "\0" not in one]
        asked = sa.select(self.tables.campaigns).where(self.tables.campaigns.c.campaign_id.in_(wanted))
        with nullcontext(snapshot) if snapshot is not None else self._workflows.transaction() as connection:
            return [decode_campaign(row) for row in connection.execute(asked).mappings()]

    def names(self, campaign_id: str) -> list[str]:
        """The names of a campaign's test cases, by number."""
        table = self.tables.tests
        asked = sa.select(table.c.name).where(table.c.campaign_id == campaign_id).order_by(table.c.number)
        with self._workflows.transaction() as connection:
            return list(connection.execute(asked).scalars())

    def begin(self, campaign_id: str) -> int:
        """Begin to run a campaign: whoever ran it before can write no more. Returns the epoch to write with."""
        table = self.tables.campaigns
        at = table.c.campaign_id == campaign_id
        with self._workflows.transaction() as connection:
            connection.execute(table.update().where(at).values(epoch=table.c.epoch + 1))
            return int(connection.execute(sa.select(table.c.epoch).where(at)).scalar_one())

    def load(self, campaign_id: str) -> Loaded:
        """What is left of a campaign: read once, when its runner begins."""
        items, batches, attempts = self.tables.items.c, self.tables.batches.c, self.tables.attempts.c
        left = sa.or_(items.outcome == "", items.rerun == "waiting")
        with self._workflows.transaction() as connection:
            rows = connection.execute(
                sa.select(self.tables.items).where(items.campaign_id == campaign_id, left).order_by(items.item)
            ).mappings()
            works = {(work.item, work.kind): work for work in map(_decode_work, rows)}
            asked = sa.select(self.tables.batches).where(batches.campaign_id == campaign_id)
            rows = connection.execute(asked.where(batches.state != "ended").order_by(batches.batch)).mappings().all()
            opened: list[tuple[Batch, list[tuple[int, Work]]]] = []
            for row in rows:
                batch = _decode_batch(row)
                told = sa.select(attempts.item).where(
                    attempts.campaign_id == campaign_id, attempts.batch == batch.batch
                )
                known = set(connection.execute(told).scalars())
                out = [
                    (place, works.pop((item, kind)))
                    for place, (item, _, kind) in enumerate(batch.works)
                    if item not in known and (item, kind) in works
                ]
                opened.append((batch, out))
            last_batch = sa.select(sa.func.max(batches.batch)).where(batches.campaign_id == campaign_id)
            last = sa.select(sa.func.max(attempts.sequence)).where(attempts.campaign_id == campaign_id)
            numbers = [connection.execute(query).scalar_one() for query in (last_batch, last)]
        return Loaded(list(works.values()), opened, self.names(campaign_id), *(number or 0 for number in numbers))

    def tidy(self, now: datetime) -> None:
        """Delete what ended long ago."""
        self.calls.delete_before(now - CALLS_KEPT_FOR)
        table = self.tables.campaigns
        before = (now - KEPT_FOR).timestamp()
        old = sa.select(table.c.campaign_id).where(table.c.released_at < before)
        every = (self.tables.tests, self.tables.items, self.tables.attempts, self.tables.batches, self.tables.nodes)
        with self._workflows.transaction() as connection:
            for campaign_id in list(connection.execute(old).scalars()):
                for one in (*every, table):
                    connection.execute(one.delete().where(one.c.campaign_id == campaign_id))
        self._workflows.delete_ended(WORKFLOW, before=now - KEPT_FOR)

    def ordered(self, campaign_id: str) -> list[tuple[int, Outcome | Literal[""]]]:
        """Test number and counted outcome of every item; empty where it has none yet."""
        items = self.tables.items.c
        asked = sa.select(items.test, items.outcome).where(items.campaign_id == campaign_id)
        with self._workflows.transaction() as connection:
            return [(row[0], row[1]) for row in connection.execute(asked)]

    def update(self, campaign_id: str, epoch: int, **values: object) -> None:
        """Change columns of a campaign. Raises Superseded."""
        with self._workflows.transaction() as connection:
            self._write(connection, campaign_id, epoch, values)

    def request_cancel(self, campaign_id: str, now: float) -> None:
        """Ask the runner of a campaign to cancel it; once it has ended this changes nothing."""
        table = self.tables.campaigns
        at = sa.and_(table.c.campaign_id == campaign_id, table.c.state.not_in(ENDED), table.c.cancel_at.is_(None))
        with self._workflows.transaction() as connection:
            connection.execute(table.update().where(at).values(cancel_at=now))

    def hold(self, campaign_id: str, epoch: int, held: Sequence[CampaignNode], **values: object) -> None:
        """Write down nodes that were granted, and columns of the campaign."""
        with self._workflows.transaction() as connection:
            self._write(connection, campaign_id, epoch, values)
            for node in held:
                at = sa.and_(*(self.tables.nodes.c[name] == value for name, value in self._node_key(campaign_id, node)))
                connection.execute(self.tables.nodes.delete().where(at))
            rows = [{"campaign_id": campaign_id, **node.model_dump()} for node in held]
            self._insert(connection, self.tables.nodes, rows)

    def nodes(self, campaign_id: str, snapshot: sa.Connection | None = None) -> list[CampaignNode]:
        """The nodes that a campaign has, or had."""
        table = self.tables.nodes
        with nullcontext(snapshot) if snapshot is not None else self._workflows.transaction() as connection:
            rows = connection.execute(sa.select(table).where(table.c.campaign_id == campaign_id)).mappings()
            return [CampaignNode.model_validate(dict(row)) for row in rows]

    def change_node(self, campaign_id: str, held: CampaignNode) -> None:
        """Write a node as it is now."""
        table = self.tables.nodes
        at = sa.and_(*(table.c[name] == value for name, value in self._node_key(campaign_id, held)))
        with self._workflows.transaction() as connection:
            connection.execute(table.update().where(at).values(held.model_dump()))

    def intend(self, campaign_id: str, epoch: int, batch: Batch) -> None:
        """Write down a batch before its job is started. Raises Superseded."""
        with self._workflows.transaction() as connection:
            self._write(connection, campaign_id, epoch, {})
            row = {"campaign_id": campaign_id, **batch.model_dump(), "works": json.dumps(batch.works)}
            connection.execute(self.tables.batches.insert().values(row))

    def change_batch(self, campaign_id: str, batch: int, **values: object) -> None:
        """Change columns of a batch."""
        table = self.tables.batches
        at = sa.and_(table.c.campaign_id == campaign_id, table.c.batch == batch)
        with self._workflows.transaction() as connection:
            connection.execute(table.update().where(at).values(values))

    def record(self, campaign_id: str, epoch: int, first: int, verdicts: Sequence[Verdict], **values: object) -> None:
        """Write what attempts came to, numbered from `first`, and columns of the campaign, all or nothing. Raises
        Superseded."""
        counters = {name: sum(v.counter == name for v in verdicts) for name in COUNTERS}
        columns = self.tables.campaigns.c
        up: dict[str, Any] = {name: columns[name] + count for name, count in counters.items() if count}
        with self._workflows.transaction() as connection:
            self._write(connection, campaign_id, epoch, {**up, **values})
            rows = [
                {"campaign_id": campaign_id, "sequence": first + n, **verdict.attempt.model_dump()}
                for n, verdict in enumerate(verdicts)
            ]
            self._insert(connection, self.tables.attempts, rows)
            for n, verdict in enumerate(verdicts):
                at = sa.and_(
                    self.tables.items.c.campaign_id == campaign_id, self.tables.items.c.item == verdict.work.item
                )
                connection.execute(self.tables.items.update().where(at).values(_item_changes(verdict, first + n)))

    def add_items(self, campaign_id: str, epoch: int, first: int, tests: Sequence[int]) -> list[Work]:
        """Add repetitions of tests, numbered from `first`."""
        with self._workflows.transaction() as connection:
            self._write(connection, campaign_id, epoch, {"items": self.tables.campaigns.c["items"] + len(tests)})
            self._insert(connection, self.tables.items, self._items(campaign_id, first, tests))
        return [Work(first + n, test) for n, test in enumerate(tests)]

    def _write(self, connection: sa.Connection, campaign_id: str, epoch: int, values: Mapping[str, object]) -> None:
        table = self.tables.campaigns
        at = sa.and_(table.c.campaign_id == campaign_id, table.c.epoch == epoch)
        if not connection.execute(table.update().where(at).values({"epoch": epoch, **values})).rowcount:
            raise Superseded

    @staticmethod
    def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(rows), ROWS):
            connection.execute(table.insert(), [dict(row) for row in rows[start : start + ROWS]])

    @staticmethod
    def _every_test(names: Sequence[str], order: CampaignOrder) -> list[int]:
        """All tests once, then all a second time: a campaign cut short has run each about as often."""
        return list(range(len(names))) * order.repeat

    @staticmethod
    def _items(campaign_id: str, first: int, tests: Sequence[int]) -> list[dict[str, Any]]:
        return [{"campaign_id": campaign_id, "item": first + n, "test": test} for n, test in enumerate(tests)]

    @staticmethod
    def _node_key(campaign_id: str, held: CampaignNode) -> list[tuple[str, str]]:
        return [("campaign_id", campaign_id), ("node", held.node), ("reservation_id", held.reservation_id)]


def _item_changes(verdict: Verdict, sequence: int) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if verdict.outcome is not None:
        changes = {"outcome": verdict.outcome, "counted": sequence}
    if verdict.rerun:
        changes["rerun"] = verdict.rerun
    if verdict.follows is not None:
        changes |= {"tries": verdict.follows.tries, "avoid": " ".join(sorted(verdict.follows.avoid))}
    return changes or {"tries": verdict.work.tries}


def decode_campaign(row: sa.RowMapping) -> Campaign:
    """A campaign of its row."""
    known = Campaign.model_fields.keys()
    fields = {name: value for name, value in row.items() if name in known and name != "order"}
    return Campaign.model_validate({**fields, "order": CampaignOrder.model_validate_json(row["order"])})


def _decode_batch(row: sa.RowMapping) -> Batch:
    return Batch.model_validate({**row, "works": json.loads(row["works"])})


def _decode_work(row: sa.RowMapping) -> Work:
    avoid = frozenset(str(row["avoid"]).split())
    return Work(row["item"], row["test"], "confirm" if row["outcome"] else "count", row["tries"], avoid)
