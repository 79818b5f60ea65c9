"""An outage is never an empty list: every tool, with its service down, says so and what to do next."""

from __future__ import annotations

from typing import Any

import pytest

from testlab_tools.catalog import all_tools

ARGUMENTS: dict[str, dict[str, Any]] = {
    "list_runs": {},
    "get_failed_cases": {"run_id": "{service}:/stb-tester-000000000001/0a23/972/2026-01-01_00.00.00"},
    "get_run": {},
    "explain_failure": {},
    "read_log": {"run_id": "/stb-tester-000000000001/0a23/972/2026-01-01_00.00.00"},
    "get_artifact": {"run_id": "/stb-tester-000000000001/0a23/972/2026-01-01_00.00.00", "name": "video.mp4"},
    "export_runs": {"save_to": "runs.xml", "format": "junit"},
    "list_nodes": {},
    "grab_screenshot": {"node_id": "stb-tester-000000000001"},
    "reserve_nodes": {"node_ids": ["stb-tester-000000000001"], "message": "soak", "duration_minutes": 5},
    "extend_reservation": {"reservation_id": "6", "minutes": 5},
    "end_reservation": {"reservation_id": "6"},
    "interrupt_reservation": {"reservation_id": "6", "message": "m", "confirm": "stb-tester-000000000001"},
    "press_key": {"node_id": "stb-tester-000000000001", "key": "KEY_OK"},
    "run_tests": {"node_id": "stb-tester-000000000001", "test_pack_revision": "main", "test_cases": ["tests/a.py::b"]},
    "list_test_cases": {"revision": "main"},
    "get_job": {"job_uid": "/stb-tester-000000000001/0a23/972", "wait_seconds": 5},
    "stop_job": {"job_uid": "/stb-tester-000000000001/0a23/972", "confirm": "portal:/stb-tester-000000000001/0a23/972"},
    "get_unit": {"serial_number": "SN-1"},
    "triage": {},
    "list_catalog": {},
    "update_unit": {"serial_number": "SN-1", "sub_units": ["SN-2"]},
    "delete_run": {},
    "delete_unit": {"serial_number": "SN-1", "service": "factory", "confirm": "SN-1"},
    "create_run": {"procedure_id": "FVT1", "serial_number": "SN-1", "outcome": "pass"},
    "import_report": {
        "content": '<testsuite timestamp="2026-11-20T08:00:00"><testcase name="a"/></testsuite>',
        "serial_number": "SN-1",
        "procedure_id": "FVT1",
    },
}
WRITTEN_DOWN = {"create_run", "import_report"}
"""They write the run down first, and answer that it is queued."""
OUR_OWN = {"list_deliveries", "release_delivery"}
"""They ask no service, but this server's own database."""
NOT_OFFERED = {("old", "list_catalog")}
ADMIN = '[server]\naccess = "admin"\n'
SERVICES = {
    "portal": '[services.portal]\nkind = "stbtester"\n',
    "factory": '[services.factory]\nkind = "tofupilot"\n',
    "old": '[services.old]\nkind = "tofupilot"\napi_version = "v1"\n',
    "cloud": '[services.cloud]\nkind = "standcloud"\n',
}
UUID = "0196434d-e8f7-7ce1-81f7-e16f20487494"
RUN_IDS = {"factory": UUID, "old": "SN-1/1", "cloud": UUID}


def arguments_of(service: str, tool: str) -> dict[str, Any]:
    arguments = dict(ARGUMENTS[tool])
    if tool in ("get_run", "get_failed_cases", "explain_failure", "delete_run") or (
        service in RUN_IDS and "run_id" in arguments
    ):
        arguments["run_id"] = f"{service}:{RUN_IDS.get(service, '/stb-tester-1/0a23/1/2026-01-01_00.00.00')}"
    if (service, tool) == ("old", "list_runs"):
        arguments["unit"] = "SN-1"
    if "service" in arguments:
        arguments["service"] = service
    return arguments


def cases() -> list[tuple[str, str]]:
    runs = [(s, t) for s in SERVICES for t in ("list_runs", "get_run", "get_failed_cases", "explain_failure")]
    files = [("portal", t) for t in ("read_log", "get_artifact", "export_runs")]
    nodes = [("portal", t.name) for t in all_tools() if t.toolset in ("nodes", "jobs")]
    insight = [(s, "triage") for s in ("portal", "factory", "cloud")]
    units = [(s, "get_unit") for s in ("factory", "old", "cloud")]
    production = [(s, t.name) for s in ("factory", "old") for t in all_tools() if t.toolset == "production"]
    production = [(s, t) for s, t in production if t not in WRITTEN_DOWN and (s, t) not in NOT_OFFERED]
    return [*runs, *files, *nodes, *insight, *units, *production, ("factory", "read_log")]


def test_every_tool_is_tried_against_a_dead_service() -> None:
    assert {tool for _, tool in cases()} | WRITTEN_DOWN | OUR_OWN == {tool.name for tool in all_tools()}


@pytest.mark.parametrize("tool", sorted(WRITTEN_DOWN))
@pytest.mark.parametrize("service", ["factory", "old"])
async def test_a_run_for_a_dead_service_is_queued_and_its_answer_says_why(
    service: str, tool: str, connect: Any, ask: Any, dead_url: str, no_backoff: None
) -> None:
    async with connect(f'{SERVICES[service]}url = "{dead_url}"\ntoken = "t"\n') as client:
        answer = await ask(client, tool, **ARGUMENTS[tool])
        assert answer["queued"]
        assert not answer.get("run_id")
        assert not answer.get("run_ids")
        assert f"Service {service} cannot be reached" in answer["note"]


@pytest.mark.parametrize("tool", sorted(WRITTEN_DOWN))
async def test_a_run_given_without_a_token_is_queued_and_its_answer_names_the_setting(
    tool: str, connect: Any, ask: Any, dead_url: str
) -> None:
    config = f'{SERVICES["factory"]}url = "{dead_url}"\ntoken_env = "NO_SUCH_TOKEN_IS_SET"\n'
    async with connect(config) as client:
        answer = await ask(client, tool, **ARGUMENTS[tool])
        assert answer["queued"]
        assert "NO_SUCH_TOKEN_IS_SET is empty or not set" in answer["note"]


@pytest.mark.parametrize(("service", "tool"), cases())
async def test_a_dead_service_is_an_error_and_the_server_goes_on(
    service: str, tool: str, connect: Any, refused: Any, dead_url: str, no_backoff: None
) -> None:
    arguments = arguments_of(service, tool)
    async with connect(f'{ADMIN}{SERVICES[service]}url = "{dead_url}"\ntoken = "t"\n') as client:
        for _ in range(2):
            told = await refused(client, tool, **arguments)
            assert told.startswith(f"{tool} failed: Service {service} cannot be reached. ")
            assert "refused" in told
            assert f"[services.{service}] url" in told


@pytest.mark.parametrize(("service", "tool"), cases())
async def test_a_missing_token_is_told_with_its_remedy_and_the_server_starts(
    service: str, tool: str, connect: Any, refused: Any, dead_url: str
) -> None:
    arguments = arguments_of(service, tool)
    config = f'{ADMIN}{SERVICES[service]}url = "{dead_url}"\ntoken_env = "NO_SUCH_TOKEN_IS_SET"\n'
    async with connect(config) as client:
        told = await refused(client, tool, **arguments)
        assert "NO_SUCH_TOKEN_IS_SET is empty or not set" in told
        assert f"[services.{service}]" in told


async def test_one_service_down_is_said_and_does_not_hide_the_others(
    sim: Any, connect: Any, ask: Any, dead_url: str, no_backoff: None
) -> None:
    down = f'[services.gone]\nkind = "tofupilot"\nurl = "{dead_url}"\ntoken = "t"\n'
    async with connect(sim.config_toml() + down) as client:
        page = await ask(client, "list_runs", limit=5)
    assert len(page["runs"]) == 5
    shares = {share["service"]: share for share in page["services"]}
    assert "cannot be reached" in shares["gone"]["error"]
    assert "gone" in page["note"]
    assert all("error" not in share for name, share in shares.items() if name != "gone")
