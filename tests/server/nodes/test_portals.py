"""Portals as the document has them, and what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testlab_mcp.commands.doctor import examine
from testlab_mcp.config.loading import parse_config
from tests.fixture_types import Connect, RefusedCaller

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm

PORTAL = '[services.portal]\nkind = "stbtester"\nurl = "{}"\ntoken = "{}"\n'
NONE = "What answers for service portal is not a Stb-tester portal"


async def finding(url: str, token: str) -> Any:
    config = parse_config(PORTAL.format(url, token))
    (found,) = await examine(list(config.connect_services()))
    return found


@pytest.fixture
def token(farm: Farm) -> str:
    return farm.you.headers["Authorization"].partition(" ")[2]


@pytest.mark.parametrize("answer", [{"status": 404}, {"status": 404, "body": "<html/>", "media_type": "text/html"}])
async def test_doctor_finds_a_portal_well_that_has_only_what_is_documented(
    answer: dict[str, Any], farm: Farm, token: str
) -> None:
    farm.fault("/user", "GET", **answer)
    found = await finding(farm.url, token)
    assert (found.reached, found.auth, found.remedy, found.account) == ("yes", "ok", "", "you")


@pytest.mark.parametrize("wrong", ["/wrong", "/api/v2", "/../tofupilot", "/../standcloud"])
async def test_doctor_finds_a_wrong_url(wrong: str, farm: Farm, token: str) -> None:
    url = farm.url + wrong if not wrong.startswith("/..") else f"{farm.url.rpartition('/')[0]}/{wrong[4:]}"
    found = await finding(url, token)
    assert found.remedy
    assert found.auth != "ok"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_run", {"run_id": "/stb-tester-1/0a23/972/2026-01-01_00.00.00"}),
        ("read_log", {"run_id": "/stb-tester-1/0a23/972/2026-01-01_00.00.00"}),
        ("get_artifact", {"run_id": "/stb-tester-1/0a23/972/2026-01-01_00.00.00"}),
        ("get_failed_cases", {"run_id": "/stb-tester-1/0a23/972"}),
        ("get_job", {"job_uid": "/stb-tester-1/0a23/972"}),
        ("get_job", {"node_id": "stb-tester-1"}),
        ("list_nodes", {}),
        ("list_nodes", {"node_ids": ["stb-tester-1"]}),
        ("list_runs", {}),
        ("grab_screenshot", {"node_id": "stb-tester-1"}),
        ("list_test_cases", {"revision": "main"}),
        ("press_key", {"node_id": "stb-tester-1", "key": "KEY_OK"}),
        ("reserve_nodes", {"node_ids": ["stb-tester-1"], "message": "m", "duration_minutes": 1}),
    ],
)
async def test_what_is_no_portal_says_nothing_about_what_there_is(
    tool: str, arguments: dict[str, Any], farm: Farm, token: str, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(PORTAL.format(f"{farm.url}/wrong", token)) as client:
        assert NONE in await refused(client, tool, **arguments)


@pytest.mark.parametrize("answer", [{"status": 200, "body": {"status": "ok"}}, {"action": "garbage"}])
@pytest.mark.parametrize("tool", ["press_key", "read_log"])
async def test_a_success_of_somebody_else_is_no_success(
    tool: str, answer: dict[str, Any], farm: Farm, connect: Connect, refused: RefusedCaller
) -> None:
    run = farm.you.get("/results").json()[0]["result_id"]
    arguments = {"press_key": {"node_id": farm.nodes[0], "key": "KEY_OK"}, "read_log": {"run_id": f"portal:{run}"}}
    farm.fault("", **answer)
    async with connect(farm.config) as client:
        await refused(client, tool, **arguments[tool])


async def test_what_there_is_not_is_told_by_the_portal_itself(
    farm: Farm, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(farm.config) as client:
        for tool, arguments, told in (
            ("get_run", {"run_id": "portal:/stb-tester-1/0a23/972/2026-01-01_00.00.00"}, "no such result"),
            ("get_job", {"job_uid": "portal:/stb-tester-1/0a23/972"}, "no such job"),
            ("list_nodes", {"node_ids": ["portal:stb-tester-1"]}, "no such node"),
            ("list_test_cases", {"revision": "nope"}, "no such revision"),
        ):
            assert told in await refused(client, tool, **arguments)
