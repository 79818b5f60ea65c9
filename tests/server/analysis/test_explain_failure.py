"""explain_failure over real HTTP: all around one failed run, in one bounded answer, whatever is missing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp_types import ImageContent, TextContent
from PIL import Image

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.commands.tools import count_tokens
from testlab_sim.stbtester.test_pack import BROKEN
from testlab_tools.explain import collect
from tests.fixture_types import Connect, RefusedCaller
from tests.lab_processes import LabProcess
from tests.server.analysis.histories import known_history

MB = 2**20


class Bench:
    """The lab seen from outside: asked plainly, and disturbed."""

    def __init__(self, lab: SimLab) -> None:
        self.services = lab.services()
        self.config = lab.config_toml()
        portal = self.services["stbtester"]
        self._http = httpx2.Client(headers={"Authorization": f"token {portal['token']}"}, timeout=30, trust_env=False)
        self._root = portal["url"].rpartition("/")[0]

    def results(self, text: str) -> list[dict[str, Any]]:
        reply = self._http.get(f"{self.services['stbtester']['url']}/api/v2/results", params={"filter": text})
        return reply.raise_for_status().json()

    def file(self, run: str, name: str) -> str:
        path = f"{self.services['stbtester']['url']}/api/v2/results{run}/{name}"
        return self._http.get(path).raise_for_status().text

    def tell(self, what: str, **said: object) -> None:
        self._http.post(f"{self._root}/_sim/{what}", json=said).raise_for_status()

    def clear(self) -> None:
        self._http.delete(f"{self._root}/_sim/faults").raise_for_status()

    def close(self) -> None:
        self._http.close()

    def without(self, kind: str, dead_url: str) -> str:
        return self.config.replace(self.services[kind]["url"], dead_url)


@pytest.fixture(scope="module")
def lab_of_bench() -> Iterator[Bench]:
    with LabProcess() as sim:
        made = Bench(sim)
        yield made
        made.close()


@pytest.fixture
def bench(lab_of_bench: Bench) -> Iterator[Bench]:
    yield lab_of_bench
    lab_of_bench.clear()


def texts(result: Any) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def explained(client: Client, run_id: str) -> tuple[dict[str, Any], list[ImageContent]]:
    result = await client.call_tool("explain_failure", {"run_id": run_id})
    assert not result.is_error, texts(result)
    assert count_tokens(texts(result)) <= 2_500
    return result.structured_content, [block for block in result.content if isinstance(block, ImageContent)]


def node_of(row: dict[str, Any]) -> str:
    return row["result_id"].split("/")[1]


def days_of(row: dict[str, Any]) -> float:
    return datetime.fromisoformat(row["start_time"]).timestamp() / 86400


def missing(answer: dict[str, Any]) -> dict[str, str]:
    return {one["part"]: one["why"] for one in answer.get("missing", [])}


async def test_a_failed_test_on_a_device_is_told_with_its_log_screen_past_and_the_same_elsewhere(
    bench: Bench, connect: Connect
) -> None:
    row = bench.results("result:error")[0]
    run, reason = row["result_id"], row["failure_reason"]
    log = bench.file(run, "stbt.log").splitlines()
    async with connect(bench.config) as client:
        answer, (image,) = await explained(client, f"portal:{run}")
    told = answer["run"]
    (case,) = told["cases"]
    assert (told["outcome"], told["test"], told["revision"]) == ("error", row["test_case"], row["test_pack_sha"])
    assert (case["case"], case["reason"]) == (row["test_case"], reason)
    assert case["traceback"].endswith(reason)
    shown = [line for line in told["log"].splitlines() if ":" in line[:5]]
    at = max(n for n, line in enumerate(log, 1) if reason in line)
    assert shown == [f"{at}:{log[at - 1]}"]
    assert {"screenshot.png", "video.mp4"} <= set(told["artifacts"])
    with Image.open(io.BytesIO(base64.b64decode(image.data))) as picture:
        assert max(picture.size) == 1280
    past = bench.results(f"testcase:{row['test_case']} node:{node_of(row)}")
    ids = [f"portal:{one['result_id']}" for one in past if one["test_case"] == row["test_case"]]
    assert told["history"]["of"] == "station"
    assert [one["run_id"] for one in told["history"]["runs"]] == [i for i in ids if i != f"portal:{run}"][:5]
    assert missing(answer) == {}
    assert {"reason", "log", "traceback", "test"} <= set(answer["untrusted"])


async def test_the_same_failure_elsewhere_is_counted_as_the_portals_own_results_have_it(
    bench: Bench, connect: Connect
) -> None:
    rows = bench.results("result:error") + bench.results("result:fail")
    row = next(r for r in rows if sum(one["test_case"] == r["test_case"] for one in rows) > 4)
    async with connect(bench.config) as client:
        answer, _ = await explained(client, f"portal:{row['result_id']}")
    near = [one for one in rows if one["test_case"] == row["test_case"] and one["result_id"] != row["result_id"]]
    near = [one for one in near if abs(days_of(one) - days_of(row)) <= 14]
    alike = [one for one in near if one["failure_reason"] == row["failure_reason"]]
    told = answer["elsewhere"]
    assert told["failed"] == len(near)
    assert told["alike"] == len(alike)
    assert told.get("stations", 0) == len({node_of(one) for one in alike})
    newest = sorted(alike, key=days_of, reverse=True)[:3]
    assert told.get("run_ids", []) == [f"portal:{one['result_id']}" for one in newest]


async def test_when_a_test_broke_is_told_with_its_last_pass_and_first_failure(bench: Bench, connect: Connect) -> None:
    rows = [row for row in bench.results(f"testcase:{BROKEN}") if row["test_case"] == BROKEN]
    last = next(n for n, row in enumerate(rows) if row["result"] == "pass")
    passed, first = rows[last], rows[last - 1]
    assert last > 1
    async with connect(bench.config) as client:
        answer, _ = await explained(client, f"portal:{rows[0]['result_id']}")
    for name, row in (("last_pass", passed), ("first_failure", first)):
        told = answer["broke"][name]
        assert (told["run_id"], told["revision"]) == (f"portal:{row['result_id']}", row["test_pack_sha"][:12])
        assert datetime.fromisoformat(told["started_at"]).timestamp() == int(days_of(row) * 86400)


async def test_a_failed_measurement_is_told_beside_its_limits_with_the_units_other_runs(
    bench: Bench, connect: Connect
) -> None:
    run = next(
        r
        for r in reversed(known_history().runs)
        if r.outcome == "FAIL" and r.unit.sample is None and len(r.unit.runs) > 3
    )
    (phase,) = [p for p in known_history().detail(run).phases if p.outcome == "FAIL"][-1:]
    failed = next(m for m in phase.measurements if m.outcome == "FAIL")
    async with connect(bench.config) as client:
        answer, images = await explained(client, f"factory:{run.id}")
    told = answer["run"]
    (case,) = [c for c in told["cases"] if c["case"] == phase.name]
    assert [m["name"] for m in case["measurements"]] == [failed.name]
    assert images == []
    assert f"{failed.name} = " in told["log"]
    assert (told["unit"], told["revision"]) == (run.unit.serial, run.version.tag if run.version else "")
    same = [r for r in run.unit.runs if r.procedure is run.procedure]
    history = told["history"]
    assert history["of"] == "unit"
    assert (history["attempt"], history["attempts"]) == (same.index(run) + 1, len(same))
    assert history.get("passed_later", False) == any(r.outcome == "PASS" for r in same[same.index(run) :])
    services = {one["run_id"].partition(":")[0] for one in history["runs"]}
    assert "factory" in services


async def test_a_failed_stand_run_says_its_case_and_that_it_has_been_seen_on_other_units(
    bench: Bench, connect: Connect
) -> None:
    row = next(r for r in reversed(known_history().stands.rows) if r.status == "fail")
    found = known_history().stands.failed_case(row)
    assert found is not None
    async with connect(bench.config) as client:
        answer, images = await explained(client, f"cloud:{row.id}")
    (case,) = answer["run"]["cases"]
    assert case["case"] == found[2]
    assert case["measurements"][0]["name"] == found[3]["name"]
    assert "log" not in answer["run"]
    assert (images, missing(answer)) == ([], {})
    others = [r for r in known_history().stands.rows if r.plan == row.plan and r.status == "fail" and r is not row]
    assert answer["elsewhere"]["failed"] == sum(abs(r.started - row.started) <= 14 * 86400 for r in others)
    assert answer["elsewhere"]["alike"] >= 1


@pytest.mark.parametrize("service", ["portal", "factory", "cloud"])
async def test_many_failures_of_every_service_fit_into_the_bound(service: str, bench: Bench, connect: Connect) -> None:
    async with connect(bench.config) as client:
        for outcome in ("fail", "error", "stopped"):
            page = await client.call_tool("list_runs", {"service": service, "outcome": outcome, "limit": 20})
            for run in page.structured_content["runs"]:
                answer, _ = await explained(client, run["run_id"])
                assert answer["run"]["run_id"] == run["run_id"]
                assert missing(answer) == {}


async def test_the_longest_run_with_the_longest_log_and_most_files_fits(bench: Bench, connect: Connect) -> None:
    rows = bench.results("result:fail") + bench.results("result:error")
    run = max(rows, key=lambda row: len(row["failure_reason"] or "") + len(row["test_case"]))["result_id"]
    bench.tell("files", result_id=run, name="stbt.log", bytes=5 * MB)
    for n in range(60):
        bench.tell("files", result_id=run, name=f"diagnostics/of a very long name/{'x' * 80}-{n}.log", bytes=10)
    async with connect(bench.config) as client:
        answer, _ = await explained(client, f"portal:{run}")
    assert "of 67 artifacts" in answer["note"] or "of 68 artifacts" in answer["note"]
    assert answer["run"]["log"]


async def test_a_run_that_passed_says_so_and_asks_for_nothing_more(bench: Bench, connect: Connect) -> None:
    passed = bench.results("result:pass")[0]["result_id"]
    async with connect(bench.config) as client:
        answer, images = await explained(client, f"portal:{passed}")
    assert answer["note"] == "The run passed: there is nothing to explain."
    assert set(answer) == {"run", "note", "untrusted"}
    assert images == []


async def test_a_jobs_id_is_refused_with_the_tool_for_jobs(
    bench: Bench, connect: Connect, refused: RefusedCaller
) -> None:
    job = bench.results("result:fail")[0]["job_uid"]
    async with connect(bench.config) as client:
        for handle in (f"portal:{job}", job):
            told = await refused(client, "explain_failure", run_id=handle)
            assert "That is the id of a job, not of a run. get_failed_cases" in told
        told = await refused(client, "explain_failure", run_id="portal:/stb-tester-000000000001/0a23/99999")
        assert "no such result" in told
        assert "no such" in await refused(client, "explain_failure", run_id="cloud:nothing")


async def test_a_screenshot_that_is_not_there_is_named_and_the_rest_is_told(bench: Bench, connect: Connect) -> None:
    run = bench.results("result:fail")[0]["result_id"]
    bench.tell("faults", service="stbtester", path_prefix=f"/api/v2/results{run}/screenshot", status=404, times=0)
    async with connect(bench.config) as client:
        answer, images = await explained(client, f"portal:{run}")
    assert images == []
    assert set(missing(answer)) == {"screenshot"}
    assert "What answers for service portal is not a Stb-tester portal" in missing(answer)["screenshot"], (
        "its own list of files has a screenshot"
    )
    assert answer["run"]["log"]
    assert answer["run"]["cases"][0]["reason"]


async def test_a_screenshot_that_is_no_image_is_named(bench: Bench, connect: Connect) -> None:
    run = bench.results("result:fail")[0]["result_id"]
    bench.tell("faults", service="stbtester", path_prefix=f"/api/v2/results{run}/screenshot", action="garbage", times=0)
    async with connect(bench.config) as client:
        answer, images = await explained(client, f"portal:{run}")
    assert images == []
    assert "is not an image" in missing(answer)["screenshot"]


async def test_a_log_that_does_not_come_is_named_and_the_rest_is_told(
    bench: Bench, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.results("result:fail")[0]["result_id"]
    prefix = f"/api/v2/results{run}/stbt.log"
    bench.tell("faults", service="stbtester", path_prefix=prefix, action="slow", seconds=60.0, times=0)
    monkeypatch.setattr(collect, "LOG_SHARE", 0.005)
    async with connect(bench.config) as client:
        answer, images = await explained(client, f"portal:{run}")
    assert set(missing(answer)) == {"log"}
    assert missing(answer)["log"].startswith("The log did not begin to come within")
    assert "log" not in answer["run"]
    assert len(images) == 1
    assert answer["run"]["cases"][0]["traceback"]


@pytest.mark.parametrize(("path", "part"), [("/api/v2/logs", "log"), ("/api/v2/procedures", "elsewhere")])
async def test_a_part_that_a_service_fails_over_is_named(
    path: str, part: str, bench: Bench, connect: Connect, no_backoff: None
) -> None:
    run = next(r for r in reversed(known_history().runs) if r.outcome == "FAIL")
    bench.tell("faults", service="tofupilot", path_prefix=path, status=500, times=0)
    async with connect(bench.config) as client:
        answer, _ = await explained(client, f"factory:{run.id}")
    assert part in missing(answer)
    assert set(missing(answer)) <= {"log", "elsewhere", "broke"}
    assert all("HTTP 500" in why for why in missing(answer).values())
    assert answer["run"]["cases"]


async def test_with_another_service_dead_the_unit_s_past_says_so(
    bench: Bench, connect: Connect, dead_url: str, no_backoff: None
) -> None:
    run = next(r for r in reversed(known_history().runs) if r.outcome == "FAIL")
    async with connect(bench.without("standcloud", dead_url)) as client:
        answer, _ = await explained(client, f"factory:{run.id}")
    assert "Service cloud cannot be reached" in missing(answer)["history"]
    assert answer["run"]["history"]["attempts"] >= 1


async def test_where_runs_are_found_only_by_serial_number_the_same_elsewhere_is_named_as_missing(
    bench: Bench, connect: Connect
) -> None:
    run = next(r for r in reversed(known_history().runs) if r.outcome == "FAIL")
    service = bench.services["tofupilot"]
    old = f'[services.old]\nkind = "tofupilot"\napi_version = "v1"\nurl = "{service["url"]}"\n'
    async with connect(f'{old}token = "{service["token"]}"\n') as client:
        answer, _ = await explained(client, f"old:{run.unit.serial}/{run.id}")
    assert set(missing(answer)) == {"elsewhere", "broke"}
    assert "lists runs only by serial number" in missing(answer)["elsewhere"]
    assert answer["run"]["cases"]
