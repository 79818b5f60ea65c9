"""The tables of campaigns. A campaign's counts stand in its own row, so that nothing is counted while it runs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from testlab_tools.campaigns.records import COUNTERS
from testlab_tools.durable.workflows import Workflows

_TEXT: Any = sa.Text
_NUMBER: Any = sa.Integer
_REAL: Any = sa.Double


class Tables:
    """All of them, created if need be. Raises what SQLAlchemy raises when the database refuses."""

    def __init__(self, workflows: Workflows) -> None:
        self.campaigns = workflows.create_table("campaigns", *_campaign())
        self.tests = workflows.create_table("campaign_tests", *_key("number"), sa.Column("name", _TEXT, nullable=False))
        self.items = workflows.create_table(
            "campaign_items",
            *_key("item"),
            sa.Column("test", _NUMBER, nullable=False),
            sa.Column("tries", _NUMBER, nullable=False, default=0),
            sa.Column("avoid", _TEXT, nullable=False, default=""),
            sa.Column("outcome", _TEXT, nullable=False, default=""),
            sa.Column("rerun", _TEXT, nullable=False, default=""),
            sa.Column("counted", _NUMBER),
            sa.Index("campaign_items_by_outcome", "campaign_id", "outcome", "counted"),
        )
        self.attempts = workflows.create_table(
            "campaign_attempts",
            *_key("sequence"),
            *(sa.Column(name, _NUMBER, nullable=False) for name in ("item", "batch")),
            *(sa.Column(name, _TEXT, nullable=False) for name in ("node", "kind", "outcome", "run_id", "reason")),
            sa.Column("started_at", _REAL),
            sa.Column("duration_s", _REAL, nullable=False),
            sa.Index("campaign_attempts_by_batch", "campaign_id", "batch"),
            sa.Index("campaign_attempts_by_kind", "campaign_id", "kind", "item"),
        )
        self.batches = workflows.create_table(
            "campaign_batches",
            *_key("batch"),
            *(sa.Column(name, _TEXT, nullable=False) for name in ("node", "works", "state", "job_before", "job_uid")),
            sa.Column("intended_at", _REAL, nullable=False),
            sa.Column("ended_at", _REAL),
        )
        self.nodes = workflows.create_table(
            "campaign_nodes",
            *_key("node", _TEXT),
            sa.Column("reservation_id", _TEXT, primary_key=True),
            sa.Column("ticket", _NUMBER, nullable=False),
            sa.Column("state", _TEXT, nullable=False),
            sa.Column("why", _TEXT, nullable=False, default=""),
            sa.Column("until", _REAL),
            sa.Column("given_back", sa.Boolean, nullable=False, default=False),
        )


def _campaign() -> tuple[Any, ...]:
    return (
        sa.Column("campaign_id", _TEXT, primary_key=True),
        *(sa.Column(name, _TEXT, nullable=False) for name in ("caller", "service", "order", "state")),
        *(sa.Column(name, _TEXT, nullable=False, default="") for name in ("why", "trouble", "pinned")),
        sa.Column("created_at", _REAL, nullable=False),
        *(sa.Column(name, _REAL) for name in ("started_at", "ended_at", "released_at", "cancel_at")),
        *(sa.Column(name, _NUMBER, nullable=False) for name in ("tickets", "epoch", "tests", "items")),
        *(sa.Column(name, _NUMBER, nullable=False, default=0) for name in COUNTERS),
        sa.Index("campaigns_by_age", "created_at"),
    )


def _key(name: str, kind: Any = _NUMBER) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """A row's key within its campaign."""
    return sa.Column("campaign_id", _TEXT, primary_key=True), sa.Column(name, kind, primary_key=True)
