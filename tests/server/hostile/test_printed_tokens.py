"""A lab's own log that prints the token which this server sends it: nobody reads it here."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx2

from testlab_mcp.commands.simlab import SimLab
from testlab_tools.known_secrets import MASK
from tests.fixture_types import Connect, ToolCaller


async def test_a_log_that_prints_the_portals_token_is_read_without_it(
    fresh_sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    token = fresh_sim.services()["stbtester"]["token"]
    async with connect(fresh_sim.config_toml()) as client:
        run = (await ask(client, "list_runs", service="portal", limit=1))["runs"][0]["run_id"]
        control = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]
        body = f"12:00:00 GET /api Authorization: token {token}\n12:00:01 done\n"
        fault = {
            "service": "stbtester",
            "path_prefix": f"/api/v2/results{run.removeprefix('portal:')}/stbt.log",
            "action": "status",
            "status": 200,
            "body": body,
            "times": 0,
        }
        async with httpx2.AsyncClient(trust_env=False) as outside:
            (await outside.post(f"{control}/_sim/faults", json=fault)).raise_for_status()
        excerpt = await ask(client, "read_log", run_id=run)
        resource = await client.read_resource(f"testlab://runs/{quote(run, safe='')}/log")
    told = json.dumps(excerpt) + resource.model_dump_json()
    assert MASK in told
    assert token not in told
