"""An agent's job, end to end over real HTTP: the six operations, on every service that can do them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from mcp_types import ImageContent, TextContent
from PIL import Image

from testlab_mcp.commands.simlab import SimLab
from tests.answer_text import read_answer
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

SERVICES = ["portal", "factory", "cloud"]


@pytest.mark.parametrize("service", SERVICES)
async def test_runs_of_a_service_are_listed_newest_first_page_by_page_without_loss(
    service: str, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        whole = (await ask(client, "list_runs", service=service, until="1d", limit=60))["runs"]
        paged, cursor = [], ""
        while len(paged) < 60:
            page = await ask(client, "list_runs", service=service, until="1d", limit=20, cursor=cursor)
            paged += page["runs"]
            cursor = page["cursor"]
    assert [run["run_id"] for run in paged] == [run["run_id"] for run in whole]
    assert len({run["run_id"] for run in whole}) == 60
    starts = [run["started_at"] for run in whole]
    assert starts == sorted(starts, reverse=True)


async def test_pages_repeat_nothing_when_runs_are_recorded_meanwhile(
    fresh_sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    run = {"procedure_id": "Main board FCT", "part_number": "STB-4K", "outcome": "pass"}
    seen: list[str] = []
    cursor = ""
    async with connect(fresh_sim.config_toml()) as client:
        before = (await ask(client, "list_runs", service="factory", limit=150))["runs"]
        for number in range(4):
            page = await ask(client, "list_runs", service="factory", limit=30, cursor=cursor)
            seen += [row["run_id"] for row in page["runs"]]
            cursor = page["cursor"]
            for other in range(17):
                await ask(client, "create_run", serial_number=f"SN-{number}-{other}", **run)
    assert seen == [row["run_id"] for row in before[:120]]


async def test_runs_of_all_services_are_merged_with_one_cursor(sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(sim.config_toml()) as client:
        page = await ask(client, "list_runs", until="1d", limit=40)
        seen = [run["run_id"] for run in page["runs"]]
        following = await ask(client, "list_runs", until="1d", limit=40, cursor=page["cursor"])
        seen += [run["run_id"] for run in following["runs"]]
        starts = [run["started_at"] for run in page["runs"] + following["runs"]]
        singles = [await ask(client, "list_runs", service=s, until="1d", limit=80) for s in SERVICES]
    every = sorted((run for single in singles for run in single["runs"]), key=lambda r: r["started_at"], reverse=True)
    assert starts == [run["started_at"] for run in every[:80]]
    assert len(set(seen)) == 80
    assert {share["service"]: share["shown"] for share in page["services"]}.keys() == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_filter_by_outcome_test_and_time_holds_for_every_run(
    service: str, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        first = (await ask(client, "list_runs", service=service, outcome="fail", limit=1))["runs"][0]
        found = await ask(
            client, "list_runs", service=service, outcome="fail", test=first["test"], since="30d", limit=50
        )
    assert found["runs"]
    assert {run["outcome"] for run in found["runs"]} == {"fail"}
    assert {run["test"] for run in found["runs"]} == {first["test"]}


@pytest.mark.parametrize("service", SERVICES)
async def test_every_failed_run_is_explained(service: str, sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(sim.config_toml()) as client:
        failed = (await ask(client, "list_runs", service=service, outcome="fail", until="1d", limit=5))["runs"]
        for run in failed:
            answer = await ask(client, "get_failed_cases", run_id=run["run_id"])
            (explained,) = answer["runs"]
            assert explained["run_id"] == run["run_id"]
            assert explained["outcome"] == "fail"
            assert explained["cases"]
            assert all(case["reason"] for case in explained["cases"])


async def test_a_failing_measurement_stands_beside_its_limits(sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(sim.config_toml()) as client:
        runs = (await ask(client, "list_runs", service="factory", outcome="fail", limit=20))["runs"]
        answers = [await ask(client, "get_failed_cases", run_id=run["run_id"]) for run in runs]
    cases = [case for answer in answers for run in answer["runs"] for case in run["cases"]]
    failing = [m for case in cases for m in case.get("measurements", []) if m["outcome"] == "fail"]
    assert failing
    numeric = [m for m in failing if isinstance(m["value"], float | int) and ("lower" in m or "upper" in m)]
    assert numeric
    for m in numeric:
        assert m["value"] < m.get("lower", m["value"]) or m["value"] > m.get("upper", m["value"])


async def test_a_passing_run_says_that_nothing_failed(sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(sim.config_toml()) as client:
        for service in SERVICES:
            (run,) = (await ask(client, "list_runs", service=service, outcome="pass", limit=1))["runs"]
            answer = await ask(client, "get_failed_cases", run_id=run["run_id"])
            assert answer["runs"] == []
            assert "Nothing failed" in answer["note"]


@pytest.mark.parametrize("how", ["connect", "spawn"])
async def test_a_node_is_reserved_used_and_given_back(
    how: str, fresh_sim: SimLab, request: pytest.FixtureRequest, ask: ToolCaller
) -> None:
    async with request.getfixturevalue(how)(fresh_sim.config_toml()) as client:
        nodes = await ask(client, "list_nodes", available=True)
        node = nodes["nodes"][0]["node_id"]
        made = await ask(client, "reserve_nodes", node_ids=[node], message="soak **B**", duration_minutes=5)
        (held,) = made["reservations"]
        (shown,) = (await ask(client, "list_nodes", node_ids=[node]))["nodes"]
        assert shown["state"] == "reserved by you"
        assert shown["reservation"]["message"] == "soak **B**"
        tests = (await ask(client, "list_runs", service="portal", station=node, limit=40))["runs"]
        names = list(dict.fromkeys(run["test"] for run in tests))[:6]
        steps: list[tuple[float, float | None]] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            steps.append((done, total))

        result = await client.call_tool(
            "run_tests",
            {"node_id": node, "test_pack_revision": "main", "test_cases": names, "wait_seconds": 30},
            progress_callback=progress,
        )
        job = result.structured_content
        assert job["finished"]
        assert job["passed"] + job["failed"] + job["errored"] == job["total"] == len(names)
        assert steps[-1] == (len(names), len(names))
        assert steps == sorted(steps)
        ended = await ask(client, "end_reservation", reservation_id=held["reservation_id"])
        assert ended["ended"]
        again = await ask(client, "end_reservation", reservation_id=held["reservation_id"])
        assert not again["ended"], "it was not there any more"
        (free,) = (await ask(client, "list_nodes", node_ids=[node]))["nodes"]
        assert free["state"] == "free"
        explained = await ask(client, "get_failed_cases", run_id=job["job_uid"])
        assert len(explained["runs"]) == job["failed"] + job["errored"]


async def test_a_job_that_runs_on_says_what_to_call_next(fresh_sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        node = (await ask(client, "list_nodes", available=True))["nodes"][0]["node_id"]
        tests = (await ask(client, "list_runs", service="portal", limit=100))["runs"]
        names = list(dict.fromkeys(run["test"] for run in tests))[:20]
        job = await ask(client, "run_tests", node_id=node, test_pack_revision="main", test_cases=names)
        assert not job["finished"]
        assert f"get_job(job_uid={job['job_uid']!r}, wait_seconds=45)" in job["next"]
        later = await ask(client, "get_job", node_id=node, wait_seconds=1)
        assert later["job_uid"] == job["job_uid"]
        assert not later["finished"]


async def test_a_screenshot_is_an_image_a_model_can_take(
    sim: SimLab, connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    async with connect(sim.config_toml()) as client:
        node = (await ask(client, "list_nodes", available=True))["nodes"][0]["node_id"]
        for size in ("model", "full"):
            shot = await client.call_tool("grab_screenshot", {"node_id": node, "size": size, "save_to": f"{size}.png"})
            image = next(block for block in shot.content if isinstance(block, ImageContent))
            with Image.open(io.BytesIO(base64.b64decode(image.data))) as picture:
                assert picture.size == (1280, 720)
            assert shot.structured_content is None
            with Image.open(tmp_path / f"{size}.png") as kept:
                assert kept.size == (1280, 720)


async def test_the_screen_at_the_end_of_a_run_can_be_seen(sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(sim.config_toml()) as client:
        (run,) = (await ask(client, "list_runs", service="portal", outcome="fail", limit=1))["runs"]
        shot = await client.call_tool("grab_screenshot", {"run_id": run["run_id"]})
        assert not shot.is_error
        assert any(isinstance(block, ImageContent) for block in shot.content)


PHASES = [
    {
        "name": "flash_firmware",
        "outcome": "fail",
        "duration_s": 4,
        "measurements": [{"name": "firmware", "text": "1.4.1", "limits": "1.4.2"}],
    },
    {
        "name": "flash_firmware",
        "outcome": "pass",
        "duration_s": 4,
        "measurements": [{"name": "firmware", "text": "1.4.2", "limits": "1.4.2"}],
    },
    {
        "name": "power_rails",
        "outcome": "fail",
        "duration_s": 2,
        "measurements": [
            {"name": "rail_5v", "value": 5.31, "units": "V", "limits": "4.85 <= x <= 5.15"},
            {"name": "idle", "value": 0.1, "units": "A", "limits": "x <= 0.12"},
        ],
    },
]


@pytest.mark.parametrize("version", ["v2", "v1"])
async def test_a_created_run_is_listed_and_explained(
    version: str, fresh_sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    config = fresh_sim.config_toml().replace('kind = "tofupilot"', f'kind = "tofupilot"\napi_version = "{version}"')
    async with connect(config) as client:
        created = await ask(
            client,
            "create_run",
            procedure_id="Main board FCT",
            serial_number="SN-77",
            part_number="PCB-100",
            outcome="fail",
            started_at="2026-11-20T08:00:00Z",
            phases=PHASES,
        )
        (listed,) = (await ask(client, "list_runs", service="factory", unit="SN-77"))["runs"]
        (run,) = (await ask(client, "get_failed_cases", run_id=created["run_id"]))["runs"]
    assert listed["run_id"] == created["run_id"] == run["run_id"]
    assert listed["outcome"] == "fail"
    assert listed["started_at"] == "2026-11-20T08:00:00Z"
    assert listed["duration_s"] == 10
    (case,) = run["cases"]
    assert (case["case"], case["outcome"]) == ("power_rails", "fail")
    assert run["cases_run"] == 2
    rails = {m["name"]: m for m in case["measurements"]}
    assert rails["rail_5v"] == {
        "name": "rail_5v",
        "outcome": "fail",
        "value": 5.31,
        "units": "V",
        "lower": 4.85,
        "upper": 5.15,
    }
    assert rails["idle"]["outcome"] == "pass"
    assert rails["idle"]["upper"] == 0.12


@pytest.mark.parametrize(
    ("phases", "note"),
    [
        ([{"name": "rails", "outcome": "fail"}, {"name": "rails", "outcome": "pass"}], ""),
        (
            [{"name": "rails", "outcome": "fail"}],
            "Recorded with outcome pass, though 1 of its phases did not pass.",
        ),
        (
            [{"name": "rails", "outcome": "pass", "measurements": [{"name": "v", "value": 9, "limits": "x <= 5"}]}],
            "Recorded with outcome pass, though 1 of its phases passed with a measurement that fails.",
        ),
    ],
)
async def test_a_run_that_contradicts_itself_is_recorded_and_that_is_said(
    phases: list[dict[str, Any]], note: str, fresh_sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    run = {"procedure_id": "Main board FCT", "serial_number": "SN-1", "part_number": "STB-4K", "outcome": "pass"}
    async with connect(fresh_sim.config_toml()) as client:
        assert (await ask(client, "create_run", **run, phases=phases)).get("note", "") == note


async def test_a_measurement_whose_outcome_contradicts_its_limits_is_refused(
    sim: SimLab, connect: Connect, refused: RefusedCaller
) -> None:
    phases = [
        {
            "name": "p",
            "outcome": "pass",
            "measurements": [{"name": "v", "value": 9, "limits": "x <= 5", "outcome": "pass"}],
        }
    ]
    async with connect(sim.config_toml()) as client:
        told = await refused(
            client, "create_run", procedure_id="Main board FCT", serial_number="SN-1", outcome="pass", phases=phases
        )
    assert "outside its limits" in told


async def test_text_and_structure_carry_the_same_facts(sim: SimLab, connect: Connect) -> None:
    async with connect(sim.config_toml()) as client:
        for tool, arguments in (("list_runs", {"limit": 5}), ("list_nodes", {})):
            result = await client.call_tool(tool, arguments)
            text = result.content[0]
            assert isinstance(text, TextContent)
            assert read_answer(text.text) == result.structured_content
