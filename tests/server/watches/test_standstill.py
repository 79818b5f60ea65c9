"""A server that leaves stored work to others says so where no other runs it; and no longer, once one does."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from testlab_mcp.commands.main import main
from tests.fixture_types import Connect, ToolCaller
from tests.server.watches.conftest import QUICK, eventually
from tests.server_processes import start_server

if TYPE_CHECKING:
    from tests.server.watches.conftest import Farm

NOBODY = "No process runs what is stored just now"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_who_waits_for_what_nobody_runs_is_told_until_a_worker_runs(
    farm: Farm,
    connect: Connect,
    ask: ToolCaller,
    database: str,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = request.getfixturevalue(database) if database == "postgresql" else ""
    place = place or f"path = '{farm.folder / 'deliveries.sqlite'}'"
    config = farm.config(f"{place}\nrun_here = false")
    path = farm.folder / "lab.toml"
    path.write_text(config, encoding="utf-8")
    node = f"portal:{farm.free()[0]}"
    order = {"node_ids": [node], "test_pack_revision": "main", "test_cases": [QUICK]}
    examined = ["doctor", "--json", "--config", str(path)]
    assert await asyncio.to_thread(main, examined) == 0, "nothing waits yet"
    told = json.loads(capsys.readouterr().out)["durable"]
    assert NOBODY in told
    assert "no fault" in told
    async with connect(config) as client:
        begun = await ask(client, "start_campaign", **order)
        campaign = begun["campaign_id"]
        watched = await ask(client, "watch", campaign_id=campaign)
        waiting = await ask(
            client, "reserve_nodes", node_ids=[node], message="m", duration_minutes=5, wait_minutes=9, wait_seconds=1
        )
        now = await ask(client, "get_campaign", campaign_id=campaign)
        for told in (begun, watched, waiting, now, await ask(client, "list_campaigns")):
            assert NOBODY in told["note"], told
            assert "testlab-mcp worker" in told["note"]
        assert await asyncio.to_thread(main, examined) == 1
        told = json.loads(capsys.readouterr().out)["durable"]
        assert NOBODY in told
        assert "no fault" not in told

        with start_server("worker", "--config", str(path), stderr=subprocess.PIPE) as worker:

            async def runs() -> bool:
                return "note" not in await ask(client, "watch", watch_id=watched["watch_id"])

            await eventually(runs)
            await ask(client, "end_reservation", reservation_id=waiting["queued"])
            ended = await ask(client, "watch", watch_id=watched["watch_id"], wait_seconds=40)
            assert ended["state"] == "happened"
            assert await asyncio.to_thread(main, examined) == 0
            assert "durable" not in json.loads(capsys.readouterr().out)
            worker.send_signal(signal.SIGTERM)
            worker.wait()


def test_whether_anybody_runs_it_is_unknown_where_the_database_is_away(
    farm: Farm, capsys: pytest.CaptureFixture[str]
) -> None:
    path = farm.folder / "lab.toml"
    away = farm.config("database_url = 'postgresql://127.0.0.1:1/none'\nrun_here = false")
    path.write_text(away, encoding="utf-8")
    assert main(["doctor", "--json", "--config", str(path)]) == 1
    assert "is unknown" in json.loads(capsys.readouterr().out)["durable"]
