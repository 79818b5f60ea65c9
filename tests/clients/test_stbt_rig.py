"""Stb-tester's own command line, stbt-rig 33.1.0, run the way a Jenkins job and an engineer run it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import TextContent

PASSING = (
    "tests/menu.py::test_that_close_button_closes_menu",
    "tests/menu.py::test_that_home_key_returns_to_home",
)
BROKEN = "tests/settings.py::test_that_subtitle_language_can_be_changed"
JENKINS = {
    "JENKINS_HOME": "/var/lib/jenkins",
    "JOB_NAME": "nightly-acceptance",
    "BUILD_ID": "1042",
    "BUILD_URL": "https://jenkins.example.com/job/nightly-acceptance/1042/",
}

Rig = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def test_pack(tmp_path: Path, simlab: dict[str, Any], client_settings: dict[str, str]) -> Path:
    """A test-pack repository, as an engineer has it checked out."""
    folder = tmp_path / "test-pack"
    (folder / "tests").mkdir(parents=True)
    portal_url = simlab["services"]["stbtester"]["url"]
    (folder / ".stbt.conf").write_text(f"[test_pack]\nportal_url = {portal_url}\nstbt_version = 33\n", encoding="utf-8")
    (folder / "tests" / "menu.py").write_text("def test_that_close_button_closes_menu():\n    pass\n", encoding="utf-8")
    author = ("-c", "user.name=test-pack", "-c", "user.email=test-pack@example.com")
    for command in (("init", "--quiet"), ("add", "."), (*author, "commit", "--quiet", "-m", "Test pack")):
        subprocess.run(["git", *command], cwd=folder, env=client_settings, check=True)
    return folder


@pytest.fixture
def rig(
    client_python: Callable[[str], Path],
    client_settings: dict[str, str],
    simlab: dict[str, Any],
    test_pack: Path,
) -> Rig:
    """Run `stbt_rig` in the test pack: `rig("screenshot", node_id=…, settings=JENKINS)`; `who` names the token."""

    def run(
        *arguments: str, node_id: str, settings: dict[str, str], who: str = "token"
    ) -> subprocess.CompletedProcess[str]:
        token = simlab["services"]["stbtester"][who]
        return subprocess.run(
            [client_python("stbt-rig-33.1.0"), "-m", "stbt_rig", "-v", "--node-id", node_id, *arguments],
            cwd=test_pack,
            env=client_settings | settings | {"STBT_AUTH_TOKEN": token},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )

    return run


@pytest.fixture
def nodes(ask: Callable[..., httpx2.Response]) -> list[dict[str, Any]]:
    return ask("stbtester", "/api/v2/nodes").raise_for_status().json()


@pytest.fixture
def free_node(nodes: list[dict[str, Any]]) -> str:
    return next(node["node_id"] for node in nodes if node["available"])


def _job_uid(printed: str) -> str:
    """stbt-rig ends with the link to the job's results."""
    found = re.search(r"filter=job:(\S+)", printed)
    assert found is not None, printed
    return found[1]


def test_a_passing_jenkins_run_exits_0_and_leaves_junit_csv_and_artifacts(
    rig: Rig, free_node: str, test_pack: Path, ask: Callable[..., httpx2.Response]
) -> None:
    done = rig("--csv", "results.csv", "run", "--artifacts", "*", *PASSING, node_id=free_node, settings=JENKINS)
    assert done.returncode == 0, done.stderr

    job_uid = _job_uid(done.stdout)
    results = ask("stbtester", "/api/v2/results", filter=f"job:{job_uid}").json()
    assert {result["test_case"]: result["result"] for result in results} == dict.fromkeys(PASSING, "pass")
    detail = ask("stbtester", f"/api/v2/results{results[0]['result_id']}").json()
    assert detail["job_category"] == "nightly-acceptance"
    assert detail["tags"]["jenkins/BUILD_ID"] == "1042"

    junit = ElementTree.parse(test_pack / "stbt-results.xml")
    assert {case.get("name") for case in junit.iter("testcase")} <= {name.partition("::")[2] for name in PASSING} | set(
        PASSING
    )
    assert len(list(junit.iter("testcase"))) == len(PASSING)
    assert all(name in (test_pack / "results.csv").read_text(encoding="utf-8") for name in PASSING)
    for name, about in detail["artifacts"].items():
        saved = test_pack / detail["result_id"].strip("/") / "artifacts" / name
        assert saved.stat().st_size == about["size"], name


def test_a_failing_test_case_makes_the_exit_code_1_and_a_junit_failure(
    rig: Rig, free_node: str, test_pack: Path
) -> None:
    done = rig("run", PASSING[0], BROKEN, node_id=free_node, settings=JENKINS)
    assert done.returncode == 1, done.stderr
    failed = [
        case
        for case in ElementTree.parse(test_pack / "stbt-results.xml").iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    assert len(failed) == 1
    assert "test_that_subtitle_language_can_be_changed" in str(failed[0].get("name"))


def test_interactive_mode_prints_the_log_of_every_result(rig: Rig, free_node: str) -> None:
    arguments = ("--mode", "interactive", "run", "--test-pack-revision", "main", PASSING[0])
    done = rig(*arguments, node_id=free_node, settings={})
    assert done.returncode == 0, done.stderr
    assert "/app/#/result/" in done.stdout
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\S+ .*stbt-run", done.stdout, re.MULTILINE)


def test_results_are_downloaded_later_by_filter(rig: Rig, free_node: str, test_pack: Path) -> None:
    job_uid = _job_uid(rig("run", PASSING[0], node_id=free_node, settings=JENKINS).stdout)
    done = rig("download", "--artifacts", "*.png", f"job:{job_uid}", node_id=free_node, settings=JENKINS)
    assert not done.returncode, done.stderr
    (screenshot,) = (test_pack / job_uid.strip("/")).glob("*/artifacts/screenshot.png")
    assert screenshot.read_bytes().startswith(b"\x89PNG")


def test_a_screenshot_is_a_png_of_1280_by_720(rig: Rig, free_node: str, test_pack: Path) -> None:
    done = rig("screenshot", "now.png", node_id=free_node, settings=JENKINS)
    assert done.returncode == 0, done.stderr
    png = (test_pack / "now.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (1280, 720)


def test_a_busy_node_is_left_alone(rig: Rig, nodes: list[dict[str, Any]], ask: Callable[..., httpx2.Response]) -> None:
    busy = next(node for node in nodes if (node["job"] or {}).get("status") == "running")
    done = rig("run", PASSING[0], node_id=busy["node_id"], settings=JENKINS)
    assert done.returncode == 1
    assert "Node is currently in use" in done.stderr
    job = ask("stbtester", f"/api/v2/nodes/{busy['node_id']}/job").json()
    assert (job["job_uid"], job["status"]) == (busy["job"]["job_uid"], "running")


def test_force_stops_the_job_that_is_in_the_way(
    rig: Rig, free_node: str, simlab: dict[str, Any], ask: Callable[..., httpx2.Response]
) -> None:
    service = simlab["services"]["stbtester"]
    soak = {"node_id": free_node, "test_pack_revision": "main", "test_cases": [PASSING[0]], "soak": "run forever"}
    token = {"Authorization": f"token {service['token']}"}
    started = httpx2.post(service["url"] + "/api/v2/run_tests", json=soak, headers=token, trust_env=False)
    job_uid = started.raise_for_status().json()["job_uid"]

    done = rig("run", "--force", PASSING[0], node_id=free_node, settings=JENKINS)
    assert done.returncode == 0, done.stderr
    assert ask("stbtester", f"/api/v2/jobs{job_uid}").json()["status"] == "exited"


def test_a_wrong_token_is_refused(rig: Rig, free_node: str, test_pack: Path) -> None:
    (test_pack / "token").write_text("a-token-nobody-has", encoding="utf-8")
    done = rig("--portal-auth-file", "token", "run", PASSING[0], node_id=free_node, settings=JENKINS)
    assert done.returncode == 1
    assert "Authentication failure" in done.stderr
    assert "HTTP 403" in done.stderr


async def test_a_run_started_by_stbt_rig_is_listed_and_explained_by_our_server(
    rig: Rig, free_node: str, server_command: list[str]
) -> None:
    job_uid = _job_uid(rig("run", PASSING[0], BROKEN, node_id=free_node, settings=JENKINS).stdout)

    command, *arguments = server_command
    async with Client(StdioServerParameters(command=command, args=arguments, env=dict(os.environ))) as client:
        listed = await client.call_tool("list_runs", {"service": "portal", "outcome": "fail", "limit": 10})
        assert listed.structured_content is not None
        (run,) = [run for run in listed.structured_content["runs"] if run.get("job_uid", "").endswith(job_uid)]
        assert (run["outcome"], run["test"]) == ("fail", BROKEN)

        explained = await client.call_tool("get_failed_cases", {"run_id": run["run_id"]})
        assert explained.structured_content is not None
        (failed,) = explained.structured_content["runs"]
        assert failed["run_id"] == run["run_id"]
        (case,) = failed["cases"]
        assert (case["case"], case["outcome"]) == (BROKEN, "fail")
        assert "images/settings/subtitles-french.png" in case["reason"]
        assert "MatchTimeout" in case["traceback"]

        whole_job = await client.call_tool("get_failed_cases", {"run_id": f"portal:{job_uid}"})
        assert whole_job.structured_content is not None
        assert [each["run_id"] for each in whole_job.structured_content["runs"]] == [run["run_id"]]


async def test_a_node_that_our_server_holds_is_refused_to_a_colleagues_stbt_rig(
    rig: Rig, free_node: str, server_command: list[str]
) -> None:
    command, *arguments = server_command
    colleague = {"node_id": free_node, "settings": JENKINS, "who": "colleague_token"}
    async with Client(StdioServerParameters(command=command, args=arguments, env=dict(os.environ))) as client:
        order = {"node_ids": [free_node], "message": "Overnight soak", "duration_minutes": 30}
        held = await client.call_tool("reserve_nodes", order)
        assert not held.is_error
        refused = await asyncio.to_thread(rig, "run", PASSING[0], **colleague)
        assert refused.returncode == 1
        assert "Node is currently in use" in refused.stderr

        reservation = held.structured_content["reservations"][0]["reservation_id"]
        await client.call_tool("end_reservation", {"reservation_id": reservation})
        allowed = await asyncio.to_thread(rig, "run", PASSING[0], **colleague)
        assert allowed.returncode == 0, allowed.stderr


async def test_a_node_that_a_colleagues_stbt_rig_uses_is_refused_by_our_server(
    rig: Rig, free_node: str, server_command: list[str], ask: Callable[..., httpx2.Response]
) -> None:
    cases = [name for name in ask("stbtester", "/api/v2/test_pack/main/test_case_names").json() if "player" in name]
    command, *arguments = server_command
    async with Client(StdioServerParameters(command=command, args=arguments, env=dict(os.environ))) as client:
        running = asyncio.create_task(
            asyncio.to_thread(rig, "run", *cases, node_id=free_node, settings=JENKINS, who="colleague_token")
        )
        node: dict[str, Any] = {}
        while node.get("state") != "busy":
            assert not running.done(), running.result().stderr
            listed = await client.call_tool("list_nodes", {"node_ids": [free_node]})
            (node,) = listed.structured_content["nodes"]
        for tool, order in (
            ("reserve_nodes", {"node_ids": [free_node], "message": "mine", "duration_minutes": 5}),
            ("run_tests", {"node_id": free_node, "test_pack_revision": "main", "test_cases": [PASSING[0]]}),
            ("stop_job", {"node_id": free_node}),
        ):
            told = await client.call_tool(tool, order)
            assert told.is_error, tool
            (said,) = [block.text for block in told.content[:1] if isinstance(block, TextContent)]
            assert node["job"]["job_uid"].partition(":")[2] in said, said
        done = await running
        assert _job_uid(done.stdout) in node["job"]["job_uid"], "and the job ran to its end"
