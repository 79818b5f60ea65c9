"""The tables of campaigns. A campaign's counts stand in its own row, so that nothing is counted while it runs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from testlab_tools.campaigns.records import COUNTERS
from testlab_tools.durable.workflows import Workflows


class Tables:
    """All of them, created if need be. Raises what SQLAlchemy raises when the database refuses."""

    def __init__(self, workflows: Workflows) -> None:
        text: Any = sa.Text
        number: Any = sa.Integer
        real: Any = sa.Double
        self.campaigns = workflows.create_table(
            "campaigns",
            sa.Column("campaign_id", text, primary_key=True),
            sa.Column("caller", text, nullable=False),
            sa.Column("service", text, nullable=False),
            sa.Column("order", text, nullable=False),
            sa.Column("state", text, nullable=False),
            *(sa.Column(name, text, nullable=False, default="") for name in ("why", "trouble", "pinned")),
            sa.Column("created_at", real, nullable=False),
            *(sa.Column(name, real) for name in ("started_at", "ended_at", "released_at", "cancel_at")),
            *(sa.Column(name, number, nullable=False) for name in ("tickets", "epoch", "tests", "items")),
            *(sa.Column(name, number, nullable=False, default=0) for name in COUNTERS),
            sa.Index("campaigns_by_age", "created_at"),
        )
        self.tests = workflows.create_table("campaign_tests", *_key("number"), sa.Column("name", text, nullable=False))
        self.items = workflows.create_table(
            "campaign_items",
            *_key("item"),
            sa.Column("test", number, nullable=False),
            sa.Column("tries", number, nullable=False, default=0),
            sa.Column("avoid", text, nullable=False, default=""),
            sa.Column("outcome", text, nullable=False, default=""),
            sa.Column("rerun", text, nullable=False, default=""),
            sa.Column("counted", number),
            sa.Index("campaign_items_by_outcome", "campaign_id", "outcome", "counted"),
        )
        self.attempts = workflows.create_table(
            "campaign_attempts",
            *_key("sequence"),
            *(sa.Column(name, number, nullable=False) for name in ("item", "batch")),
            *(sa.Column(name, text, nullable=False) for name in ("node", "kind", "outcome", "run_id", "reason")),
            sa.Column("started_at", real),
            sa.Column("duration_s", real, nullable=False),
            sa.Index("campaign_attempts_by_batch", "campaign_id", "batch"),
            sa.Index("campaign_attempts_by_kind", "campaign_id", "kind", "item"),
        )
        self.batches = workflows.create_table(
            "campaign_batches",
            *_key("batch"),
            *(sa.Column(name, text, nullable=False) for name in ("node", "works", "state", "job_before", "job_uid")),
            sa.Column("intended_at", real, nullable=False),
            sa.Column("ended_at", real),
        )
        self.nodes = workflows.create_table(
            "campaign_nodes",
            *_key("node", text),
            sa.Column("reservation_id", text, primary_key=True),
            sa.Column("ticket", number, nullable=False),
            sa.Column("state", text, nullable=False),
            sa.Column("why", text, nullable=False, default=""),
            sa.Column("until", real),
            sa.Column("given_back", sa.Boolean, nullable=False, default=False),
        )


def _key(name: str, kind: Any = sa.Integer) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """A row's key within its campaign."""
    return sa.Column("campaign_id", sa.Text, primary_key=True), sa.Column(name, kind, primary_key=True)
