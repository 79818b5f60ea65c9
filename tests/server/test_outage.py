"""An outage is never an empty list: every tool, with its service down, says so and what to do next."""

from __future__ import annotations

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.service_samples import SERVICE_SAMPLES
from tests.tool_samples import SAMPLES, SIMULATED

ADMIN = '[server]\naccess = "admin"\ntoolsets = ["all"]\n'
QUEUED = sorted(sample.tool for sample in SIMULATED.values() if sample.queued)
"""They write the run down first, and answer that it is queued."""
REFUSED = [
    (service, sample.tool) for sample in SIMULATED.values() if not sample.queued for service in sorted(sample.services)
]


def test_every_tool_is_tried_against_a_dead_service() -> None:
    of_the_database = {"list_deliveries", "release_delivery", "list_campaigns", "get_campaign", "cancel_campaign"}
    assert {tool for _, tool in REFUSED} | set(QUEUED) | of_the_database == SIMULATED.keys()


@pytest.mark.parametrize("tool", QUEUED)
@pytest.mark.parametrize("service", ["factory", "old"])
async def test_a_run_for_a_dead_service_is_queued_and_its_answer_says_why(
    service: str, tool: str, connect: Connect, ask: ToolCaller, dead_url: str, no_backoff: None
) -> None:
    async with connect(SERVICE_SAMPLES[service].table(dead_url, token="t")) as client:
        answer = await ask(client, tool, **SAMPLES[tool].fictional_call(service))
        assert answer["queued"]
        assert not answer.get("run_id")
        assert not answer.get("run_ids")
        assert f"Service {service} cannot be reached" in answer["note"]


@pytest.mark.parametrize("tool", QUEUED)
async def test_a_run_given_without_a_token_is_queued_and_its_answer_names_the_setting(
    tool: str, connect: Connect, ask: ToolCaller, dead_url: str
) -> None:
    config = SERVICE_SAMPLES["factory"].table(dead_url, token_env="NO_SUCH_TOKEN_IS_SET")
    async with connect(config) as client:
        answer = await ask(client, tool, **SAMPLES[tool].fictional_call())
        assert answer["queued"]
        assert "NO_SUCH_TOKEN_IS_SET is empty or not set" in answer["note"]


@pytest.mark.parametrize(("service", "tool"), REFUSED)
async def test_a_dead_service_is_an_error_and_the_server_goes_on(
    service: str, tool: str, connect: Connect, refused: RefusedCaller, dead_url: str, no_backoff: None
) -> None:
    arguments = SAMPLES[tool].fictional_call(service)
    async with connect(ADMIN + SERVICE_SAMPLES[service].table(dead_url, token="t")) as client:
        for _ in range(2):
            told = await refused(client, tool, **arguments)
            assert told.startswith(f"{tool} failed: Service {service} cannot be reached. ")
            assert "refused" in told
            assert f"[services.{service}] url" in told


@pytest.mark.parametrize(("service", "tool"), REFUSED)
async def test_a_missing_token_is_told_with_its_remedy_and_the_server_starts(
    service: str, tool: str, connect: Connect, refused: RefusedCaller, dead_url: str
) -> None:
    arguments = SAMPLES[tool].fictional_call(service)
    config = ADMIN + SERVICE_SAMPLES[service].table(dead_url, token_env="NO_SUCH_TOKEN_IS_SET")
    async with connect(config) as client:
        told = await refused(client, tool, **arguments)
        assert "NO_SUCH_TOKEN_IS_SET is empty or not set" in told
        assert f"[services.{service}]" in told


async def test_one_service_down_is_said_and_does_not_hide_the_others(
    sim: SimLab, connect: Connect, ask: ToolCaller, dead_url: str, no_backoff: None
) -> None:
    down = f'[services.gone]\nkind = "tofupilot"\nurl = "{dead_url}"\ntoken = "t"\n'
    async with connect(sim.config_toml() + down) as client:
        page = await ask(client, "list_runs", limit=5)
    assert len(page["runs"]) == 5
    shares = {share["service"]: share for share in page["services"]}
    assert "cannot be reached" in shares["gone"]["error"]
    assert "gone" in page["note"]
    assert all("error" not in share for name, share in shares.items() if name != "gone")
