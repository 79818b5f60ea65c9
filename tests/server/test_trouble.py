"""Bad input and bad services: each is an error that says what, why and the next step, and the server goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, TextContent

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

RUN = "/stb-tester-00044b80f101/0a21/90"
UUID = "0196434d-e8f7-7ce1-81f7-e16f20487494"
NODE = {"test_pack_revision": "main", "test_cases": ["tests/menu.py::test_that_home_key_returns_to_home"]}


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("list_runs", {"serial": "SN-1"}, "has no argument serial. It takes: service, outcome, unit,"),
        ("list_runs", {"outcom": "fail"}, "Did you mean outcome?"),
        ("list_runs", {"outcome": "failed"}, "outcome should be 'pass', 'fail'"),
        ("list_runs", {"limit": "many"}, "limit should be a valid integer"),
        ("list_runs", {"limit": 1000}, "limit should be less than or equal to 200"),
        ("list_runs", {"since": "yesterday"}, "since is not a time. Give ISO 8601"),
        ("list_runs", {"since": "2026-11-20T20:00", "until": "2026-11-20T08:00"}, "until is not after since"),
        (
            "export_runs",
            {"save_to": "r.csv", "since": "24h", "until": "7d", "service": "portal"},
            "until is not after since",
        ),
        ("list_runs", {"service": "portl"}, "no service of that name. Did you mean 'portal'?"),
        ("list_runs", {"filter": "result:fail"}, "Give service as well"),
        ("list_runs", {"cursor": "bm9uc2Vuc2U"}, "cursor is not one this tool gave"),
        ("list_runs", {"service": "portal", "filter": "colour:red"}, "does not accept"),
        ("list_runs", {"service": "portal", "unit": "SN-1"}, "cannot find runs by serial number"),
        ("get_failed_cases", {}, "Give run_id or run_ids"),
        ("get_failed_cases", {"run_id": "42"}, 'fits none of them: run_id "42". Ids look like <service>:<id>'),
        ("get_failed_cases", {"run_id": "portal:"}, "The id is empty"),
        ("get_failed_cases", {"run_id": f"portal:{RUN}/2020-01-01_00.00.00"}, "no such result"),
        ("get_failed_cases", {"run_id": "portal:/stb-tester-00044b80f101/0a21/99999"}, "no such job"),
        ("get_failed_cases", {"run_id": f"factory:{UUID}"}, "factory has no such run"),
        ("get_failed_cases", {"run_id": "factory:42"}, "Its run ids are UUIDs"),
        (
            "get_failed_cases",
            {"run_id": "cloud:42"},
            'cloud has no such test run: run_id "cloud:42". Its run ids are UUIDs',
        ),
        ("get_failed_cases", {"run_id": f"cloud:{UUID}"}, "cloud has no such test run"),
        (
            "get_failed_cases",
            {"run_id": UUID},
            f'could belong to several services: run_id "{UUID}". Put one of factory, cloud and a colon in front',
        ),
        ("list_nodes", {"node_ids": ["nowhere"]}, "no such node"),
        ("grab_screenshot", {}, "Give either node_id or run_id"),
        ("grab_screenshot", {"node_id": "nowhere"}, 'no such node: node_id "nowhere". list_nodes shows all nodes'),
        ("grab_screenshot", {"node_id": "factory:nowhere"}, "Service factory cannot do this. These can: portal"),
        ("grab_screenshot", {"node_id": "{free}", "save_to": "/etc/screen.png"}, "Only below the folders"),
        ("grab_screenshot", {"node_id": "{free}", "save_to": "../../screen.png"}, "Only below the folders"),
        ("grab_screenshot", {"node_id": "{offline}"}, "is offline. No screen was grabbed"),
        ("reserve_nodes", {"node_ids": ["nowhere"], "message": "m", "duration_minutes": 5}, "no such node"),
        ("reserve_nodes", {"node_ids": [], "message": "m", "duration_minutes": 5}, "node_ids"),
        ("reserve_nodes", {"node_ids": ["{free}"], "message": "", "duration_minutes": 5}, "message"),
        ("reserve_nodes", {"node_ids": ["{free}"], "message": "m", "duration_minutes": 0}, "duration_minutes"),
        ("reserve_nodes", {"node_ids": ["{free}"], "message": " ", "duration_minutes": 5}, "Check message"),
        ("reserve_nodes", {"node_ids": ["{reserved}"], "message": "m", "duration_minutes": 5}, "reserved by colleague"),
        ("reserve_nodes", {"node_ids": ["{busy}"], "message": "m", "duration_minutes": 5}, "is running job"),
        ("end_reservation", {"reservation_id": "999"}, "no such reservation"),
        ("end_reservation", {"reservation_id": "six"}, "no such reservation"),
        ("end_reservation", {"reservation_id": "{theirs}"}, "held by colleague"),
        ("run_tests", {"node_id": "nowhere", **NODE}, "no such node"),
        ("run_tests", {"node_id": "{free}", **NODE, "test_pack_revision": "no-such"}, "no such revision"),
        ("run_tests", {"node_id": "{free}", **NODE, "category": "a/b"}, "must not contain"),
        ("run_tests", {"node_id": "{reserved}", **NODE}, "reserved by colleague"),
        ("run_tests", {"node_id": "{expired}", **NODE}, "licence of node"),
        ("run_tests", {"node_id": "{offline}", **NODE}, "is offline"),
        ("run_tests", {"node_id": "{free}", **NODE, "test_cases": ["tests/menu.py::nope"]}, "no such test case"),
        ("list_test_cases", {"revision": "no-such"}, "no such revision"),
        ("stop_job", {}, "Give either job_uid or node_id"),
        ("get_job", {}, "Give either job_uid or node_id"),
        ("get_job", {"job_uid": "/stb-tester-00044b80f101/0a21/99999"}, "no such job"),
        ("get_job", {"job_uid": "portal:/x/0/1", "wait_seconds": 90}, "wait_seconds should be less than"),
        ("create_run", {"procedure_id": "nowhere", "serial_number": "SN-1", "outcome": "pass"}, "no such procedure"),
        ("create_run", {"procedure_id": "x", "serial_number": "SN-1", "outcome": "ok"}, "outcome should be"),
        (
            "create_run",
            {"procedure_id": "x", "serial_number": "SN-1", "outcome": "pass", "phases": [{}]},
            "phases.0",
        ),
    ],
)
async def test_bad_input_is_told_with_what_to_do(
    tool: str,
    arguments: dict[str, Any],
    told: str,
    sim: SimLab,
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
) -> None:
    async with connect(sim.config_toml()) as client:
        names = by_state((await ask(client, "list_nodes"))["nodes"])
        said = await refused(client, tool, **{key: fill(value, names) for key, value in arguments.items()})
        assert told in said
        assert len(said) < 600
        assert (await ask(client, "list_nodes"))["nodes"]


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("get_run", {"run_id": f"factory:{UUID}"}, f'no such run: run_id "factory:{UUID}"'),
        ("get_run", {"run_id": "old:SN-1/9"}, 'no such run: run_id "old:SN-1/9"'),
        ("get_failed_cases", {"run_ids": [f"cloud:{UUID}"]}, f'no such test run: run_ids "cloud:{UUID}"'),
        ("explain_failure", {"run_id": "cloud:42"}, 'no such test run: run_id "cloud:42"'),
        ("read_log", {"run_id": f"factory:{UUID}"}, f'no such run: run_id "factory:{UUID}"'),
        ("get_artifact", {"run_id": "{portal}", "name": "a.png"}, 'no such artifact: name "a.png"'),
        ("delete_run", {"run_id": "factory:7"}, 'no such run: run_id "factory:7"'),
        ("get_unit", {"serial_number": "NO-SUCH"}, 'that serial number: serial_number "NO-SUCH"'),
        ("get_unit", {"serial_number": "SN-\x1b[31m9" + 80 * "0"}, f'"SN-9{54 * "0"}… [26 more characters]"'),
        ("delete_unit", {"serial_number": "NO-1", "service": "factory"}, 'no such unit: serial_number "NO-1"'),
        ("delete_unit", {"serial_number": "NO-1", "service": "old"}, 'no such unit: serial_number "NO-1"'),
        (
            "update_unit",
            {"serial_number": "{unit}", "sub_units": ["NO-2"], "service": "factory"},
            'no such sub-unit: sub_units "NO-2"',
        ),
        ("update_unit", {"serial_number": "NO-1", "batch_number": "B", "service": "factory"}, 'serial_number "NO-1"'),
        ("end_reservation", {"reservation_id": "portal:999"}, 'no such reservation: reservation_id "portal:999"'),
        ("list_runs", {"service": "portal", "station": "Rack 99"}, 'no node of that name: station "Rack 99"'),
        ("import_report", {"path": "none.json", "service": "factory"}, 'save_to: path "none.json"'),
        ("release_delivery", {"delivery_id": "none"}, 'no such delivery: delivery_id "none"'),
    ],
)
async def test_what_is_not_there_is_quoted_with_its_argument(
    tool: str,
    arguments: dict[str, Any],
    told: str,
    sim: SimLab,
    tmp_path: Path,
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
) -> None:
    settings = f"[server]\naccess = 'admin'\ntoolsets = 'all'\n[files]\nread_from = ['{tmp_path}']\n"
    factory = sim.services()["tofupilot"]
    old = f'url = "{factory["url"]}"\ntoken = "{factory["token"]}"\n'
    settings += f'[services.old]\nkind = "tofupilot"\napi_version = "v1"\n{old}'
    async with connect(f"{sim.config_toml()}\n{settings}") as client:
        (run,) = (await ask(client, "list_runs", service="factory", limit=1))["runs"]
        (result,) = (await ask(client, "list_runs", service="portal", limit=1))["runs"]
        names = {"unit": run["unit"], "portal": result["run_id"]}
        said = await refused(client, tool, **{key: fill(value, names) for key, value in arguments.items()})
        assert told in said


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize(("tool", "told"), [("no_such_tool", "There are: list_runs"), ("list_run", "mean list_runs?")])
async def test_a_tool_that_there_is_not_is_an_error_of_the_protocol(
    tool: str, told: str, mode: str, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    """MCP, "Tools", "Error handling": an unknown tool is a JSON-RPC error, -32602."""
    async with connect(sim.config_toml(), mode) as client:
        with pytest.raises(MCPError, match=re.escape(told)) as raised:
            await client.call_tool(tool, {})
        assert raised.value.code == INVALID_PARAMS
        assert (await ask(client, "list_nodes"))["nodes"]


async def test_an_errors_structure_says_what_why_and_the_next_step(sim: SimLab, connect: Connect) -> None:
    config = f"{sim.config_toml()}\n[server]\naccess = 'observe'\n"
    async with connect(config) as client:
        told = await client.call_tool("list_runs", {"service": "portl"})
        why = await client.call_tool("get_artifact", {"run_id": f"portal:{RUN}", "name": "a.png", "save_to": "/etc/a"})
        denied = await client.call_tool("reserve_nodes", {})
    assert told.structured_content == {
        "error": {"what": "There is no service of that name", "next": "Did you mean 'portal'?"}
    }
    assert set(why.structured_content["error"]) == {"what", "why", "next"}
    assert '[server] access = "operate"' in denied.structured_content["error"]["what"]


def by_state(nodes: list[dict[str, Any]]) -> dict[str, str]:
    first = {node["state"].split()[0]: node["node_id"] for node in reversed(nodes)}
    first["reserved"] = next(n["node_id"] for n in nodes if n["state"] == "reserved")
    first["expired"] = next(n["node_id"] for n in nodes if n["state"] == "licence expired")
    first["theirs"] = next(n["reservation"]["reservation_id"] for n in nodes if n["state"] == "reserved")
    return first


def fill(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    return value.format(**names) if isinstance(value, str) else value


async def test_a_conflict_names_free_nodes_of_the_same_type(
    sim: SimLab, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        nodes = (await ask(client, "list_nodes"))["nodes"]
        busy = next(n for n in nodes if n["state"] == "busy")
        alike = [n for n in nodes if n["state"] == "free" and n["device_type"] == busy["device_type"]]
        told = await refused(client, "reserve_nodes", node_ids=[busy["node_id"]], message="m", duration_minutes=5)
    assert alike
    assert all(node["node_id"] in told for node in alike)


PORTAL_READS = [
    ("list_runs", {"service": "portal"}, "/api/v2/results", "test_case"),
    ("get_failed_cases", {"run_id": f"portal:{RUN}"}, "/api/v2/results", "result"),
    ("list_nodes", {}, "/api/v2/nodes", "online"),
    ("get_job", {"job_uid": f"portal:{RUN}"}, "/api/v2/jobs", "result_counts"),
    ("list_runs", {"service": "factory"}, "/api/v2/runs", "outcome"),
    ("list_runs", {"service": "cloud"}, "/integration/api/v1/test_run", "test_plan_name"),
]


@pytest.fixture
def fault(fresh_sim: SimLab) -> Callable[..., None]:
    root = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]

    def add(**fault: object) -> None:
        httpx2.post(f"{root}/_sim/faults", json=fault).raise_for_status()

    return add


async def test_a_reply_that_is_not_json_or_lacks_a_field_is_told(
    fresh_sim: SimLab, fault: Callable[..., None], connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        for tool, arguments, path, field in PORTAL_READS:
            fault(action="garbage", path_prefix=path, times=1)
            told = await refused(client, tool, **arguments)
            assert "not JSON" in told, tool
            assert "Bad gateway" not in told, "the reply's own text stays out"
            fault(action="missing-field", path_prefix=path, field=field, times=1)
            told = await refused(client, tool, **arguments)
            assert field in told, tool
            assert "is missing" in told, tool
            assert await ask(client, tool, **arguments), "and the next call works"


async def test_a_wrong_token_is_told_by_every_service(sim: SimLab, connect: Connect, refused: RefusedCaller) -> None:
    config = sim.config_toml().replace('token = "', 'token = "wrong-')
    async with connect(config) as client:
        for service in ("portal", "factory", "cloud"):
            told = await refused(client, "list_runs", service=service)
            assert "wrong or revoked" in told
            assert f"[services.{service}]" in told
            assert "wrong-sim" not in told


async def test_a_service_that_limits_requests_is_waited_for_within_a_bound(
    fresh_sim: SimLab, fault: Callable[..., None], connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        fault(status=429, path_prefix="/api/v2/nodes", retry_after="0", times=2)
        assert (await ask(client, "list_nodes"))["nodes"]
        fault(status=429, path_prefix="/api/v2/nodes", retry_after="120", times=1)
        told = await refused(client, "list_nodes")
        assert "asks to wait 120 s" in told


async def test_a_conflict_carries_the_holders_message_beside_the_text(
    sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        node = next(n for n in (await ask(client, "list_nodes"))["nodes"] if n["state"] == "reserved")
        order = {"node_ids": [node["node_id"]], "message": "mine", "duration_minutes": 5}
        told = await client.call_tool("reserve_nodes", order)
    assert told.is_error
    text = told.content[0]
    assert isinstance(text, TextContent)
    assert node["reservation"]["message"] not in text.text
    (taken,) = told.structured_content["taken"]
    assert taken["reservation"] == node["reservation"]
    assert {"message", "holder"} <= set(told.structured_content["untrusted"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"service": "portal", "station": "Rack 99"}, "portal has no node of that name"),
        ({"service": "factory", "station": "FVT-99"}, "factory has no station of that name"),
        ({"service": "factory", "test": "No such procedure"}, "factory has no procedure of that name"),
    ],
)
async def test_a_name_that_nothing_has_is_not_an_empty_list(
    arguments: dict[str, str], told: str, sim: SimLab, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        assert told in await refused(client, "list_runs", **arguments)


async def test_a_nodes_friendly_name_finds_its_runs(sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(sim.config_toml()) as client:
        node = (await ask(client, "list_nodes", text="Rack 1, Node 1"))["nodes"][0]
        runs = (await ask(client, "list_runs", service="portal", station="Rack 1, Node 1", limit=5))["runs"]
    assert {f"portal:{run['station']}" for run in runs} == {node["node_id"]}
