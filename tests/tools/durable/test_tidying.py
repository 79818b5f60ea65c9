"""What is stored of long work is deleted some time after its end, the engine's rows with ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from testlab_tools.campaigns.store import CampaignStore
from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.late_store import next_number
from testlab_tools.durable.workflows import Workflows
from testlab_tools.node_queue.store import TicketStore
from testlab_tools.notify.store import NoticeStore
from testlab_tools.schedules.store import ScheduleStore
from testlab_tools.watches.store import WatchStore

NOW = datetime(2030, 6, 1, tzinfo=UTC)
Tidy = Callable[[Workflows], None]
KINDS: dict[str, Tidy] = {
    "node_queue": lambda workflows: TicketStore(workflows).tidy(NOW.timestamp()),
    "schedule": lambda workflows: ScheduleStore(workflows).tidy(NOW.timestamp()),
    "watch": lambda workflows: WatchStore(workflows, lambda connection, watch: None).tidy(NOW.timestamp()),
    "notify": lambda workflows: NoticeStore(workflows).tidy(NOW.timestamp()),
    "campaign": lambda workflows: CampaignStore(workflows).tidy(NOW),
}


@pytest.fixture
def workflows(tmp_path: Path) -> Iterator[Workflows]:
    made = Workflows(SqliteDatabase(tmp_path / "d.sqlite"))
    yield made
    made.close()


def end(workflows: Workflows, workflow_id: str, status: str, at: datetime) -> None:
    """As the engine ends a workflow."""
    row = sa.table("workflow_status", sa.column("workflow_uuid"), sa.column("status"), sa.column("completed_at"))
    ended = {"status": status, "completed_at": int(at.timestamp() * 1000)}
    with workflows.transaction() as connection:
        connection.execute(sa.update(row).where(row.c.workflow_uuid == workflow_id).values(ended))


@pytest.mark.parametrize("kind", KINDS)
def test_workflows_that_ended_long_ago_are_deleted_and_their_ids_can_be_run_again(
    kind: str, workflows: Workflows
) -> None:
    for workflow_id in ("old", "failed", "late", "waiting"):
        workflows.enqueue(kind, workflow_id, [])
    end(workflows, "old", "SUCCESS", NOW - timedelta(days=91))
    end(workflows, "failed", "ERROR", NOW - timedelta(days=91))
    end(workflows, "late", "SUCCESS", NOW - timedelta(days=1))
    KINDS[kind](workflows)
    assert {row.workflow_id for row in workflows.list(kind)} == {"late", "waiting"}
    workflows.enqueue(kind, "old", [])
    assert {row.workflow_id for row in workflows.list(kind, "waiting")} == {"old", "waiting"}


def test_a_number_is_not_given_again_after_the_rows_were_deleted() -> None:
    now = NOW.timestamp()
    first = next_number([], now)
    assert next_number([], now) == first, "two who call at once have one ticket"
    assert next_number([f"ticket-x.{first}", f"ticket-x.{first + 1}"], now) == first + 2
    assert next_number([], now + timedelta(days=7).total_seconds()) > first + 2
