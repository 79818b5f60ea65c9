"""Every tool that a folder has, called as its sample is: on a folder, on one that is gone, and on hostile reports."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_mcp.commands.tools import connect_kind
from testlab_tools.tools import all_tools
from testlab_tools.untrusted import sanitize
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.tool_calls import fill
from tests.tool_samples import SAMPLES

if TYPE_CHECKING:
    from tests.server.folder.conftest import Table

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "samples" / "hostile" / "corpus.json"
CANARY = "kq7canary"
READING = "Still being read"
SERVICE = connect_kind("folder")
TOOLS = [tool.name for tool in all_tools() if SAMPLES[tool.name].services and isinstance(SERVICE, tool.needs)]
CHANGES = ("create_run", "import_report")
ASKED_BESIDES: Mapping[str, Mapping[str, Any]] = {
    "get_artifact": {"name": ""},
    "summarize_runs": {"since": "2026-01-01"},
    "measurement_stats": {"test": "{plan}", "measurement": "{measured}", "since": "2026-01-01"},
    "compare_runs": {"a": "{run}", "b": "{other}"},
    "export_runs": {"format": "csv", "save_to": "runs.csv"},
    "watch": {"node_id": "", "yield_below": 95, "service": "reports"},
}
"""In place of a sample's own arguments, where those are of another lab."""


def call_of(tool: str, names: Mapping[str, str]) -> dict[str, Any]:
    """The sample's call, about things in the folder."""
    return fill({**SAMPLES[tool].call, **ASKED_BESIDES.get(tool, {})}, {"service": "reports", **names})


def test_a_folder_has_these_tools() -> None:
    assert TOOLS == [
        "list_runs",
        "get_run",
        "get_failed_cases",
        "read_log",
        "get_artifact",
        "export_runs",
        "get_unit",
        "triage",
        "explain_failure",
        "summarize_runs",
        "measurement_stats",
        "compare_runs",
        "watch",
        "create_run",
        "import_report",
    ]


@pytest.fixture
def names(reports: Path) -> dict[str, str]:
    """What the samples' calls are about."""
    for report in (reports / "lot 42").glob("*.json"):
        report.with_suffix(".log").write_text("boot\n", encoding="utf-8")
    return {
        "serial": "SN-0001",
        "plan": "Main board FCT",
        "measured": "rail_5v",
        "new_unit": "SN-NEW",
        "procedure": "FVT1",
        "n": "1",
    }


async def test_every_tool_works(
    reports: Path, names: dict[str, str], table: Table, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(table(reports)) as client:
        names |= await _runs(client, ask)
        for tool in TOOLS:
            assert await ask(client, tool, **call_of(tool, names)), tool


async def _runs(client: Any, ask: ToolCaller) -> dict[str, str]:
    run, *_ = (await ask(client, "list_runs", outcome="fail", test="Main board FCT"))["runs"]
    other, *_ = (await ask(client, "list_runs", outcome="pass", test="Main board FCT"))["runs"]
    return {"run": run["run_id"], "other": other["run_id"]}


async def test_no_tool_takes_a_folder_that_is_gone_for_one_without_runs(
    reports: Path, names: dict[str, str], table: Table, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    durable = f"[durable]\npath = '{reports.parent / 'd.sqlite'}'\nanswer_within_seconds = 3\n"
    async with connect(table(reports) + durable) as client:
        names |= await _runs(client, ask)
        shutil.move(reports, reports.parent / "away")
        for tool in TOOLS:
            if tool in CHANGES:
                answer = await ask(client, tool, **call_of(tool, names))
                assert answer["queued"], tool
                assert "cannot write to its folder" in answer["note"] or "is not there" in answer["note"], tool
                continue
            told = await refused(client, tool, **call_of(tool, names))
            assert "A folder of reports is not there" in told, tool
        assert not reports.exists()


def hostile_texts() -> Iterator[str]:
    read = json.loads(CORPUS.read_text(encoding="utf-8"))
    yield from (text for named in read["texts"].values() for text in named.values())
    yield from (text * times for text, times in read["repeated"].values())


def write_hostile(folder: Path, text: str, number: int) -> None:
    """The same text wherever a report may hold one: names, notes, reasons, units of measurement, its log and files."""
    marked = CANARY + text + CANARY
    report: dict[str, Any] = {
        "format": "testlab-run",
        "version": 1,
        "outcome": "fail",
        "started_at": "2026-11-20T08:00:00Z",
        "ended_at": "2026-11-20T08:01:00Z",
        "unit": {"serial_number": f"SN-{number}", "part_number": marked, "batch_number": marked},
        "procedure": {"id": marked, "name": marked, "version": marked},
        "station": marked,
        "operator": marked,
        "notes": marked,
        "log": marked,
        "variables": [{"name": marked, "value": marked}],
        "phases": [
            {
                "name": marked,
                "outcome": "fail",
                "started_at": "2026-11-20T08:00:00Z",
                "ended_at": "2026-11-20T08:01:00Z",
                "reason": marked,
                "traceback": marked,
                "measurements": [
                    {"name": marked, "outcome": "fail", "value": marked, "units": marked, "expected": marked}
                ],
            }
        ],
    }
    path = folder / f"{number}.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    (folder / f"{number}.txt").write_bytes(marked.encode("utf-8", "surrogatepass"))


async def test_what_reports_say_comes_out_sanitized_and_marked_as_untrusted(
    tmp_path: Path, table: Table, connect: Connect, text_of: Any
) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    texts = list(hostile_texts())
    broken = sum(text != text.encode("utf-8", "replace").decode("utf-8") for text in texts)
    for number, text in enumerate(texts):
        write_hostile(folder, text, number)
    async with connect(table(folder)) as client:
        share = {"note": READING}
        while READING in share.get("note", ""):  # the first look is answered within a bound, be it at an end or not
            page = await client.call_tool("list_runs", {"limit": 200})
            (share,) = page.structured_content["services"]
        assert share["total"] == len(texts) - broken
        assert f"{broken} damaged" in share["note"]
        seen = 0
        for run in page.structured_content["runs"]:
            about = {"run_id": run["run_id"]}
            for tool, arguments in (
                ("get_run", {**about, "include": ["cases", "measurements", "tags", "artifacts"]}),
                ("get_failed_cases", about),
                ("read_log", about),
                ("get_artifact", about),
            ):
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, text_of(result)
                seen += _check(result, text_of(result))
        for tool in ("list_runs", "triage"):
            result = await client.call_tool(tool, {"since": "2026-01-01"})
            seen += _check(result, text_of(result))
    assert seen > 3 * len(texts)


def _check(result: Any, text: str) -> int:
    """Whether the canary came out: only in fields that are named untrusted, and without what acts or hides."""
    structure = result.structured_content
    untrusted = set(structure.get("untrusted", []))
    found = list(_canaries(structure, ""))
    assert all(field in untrusted or parent in untrusted for field, parent, _ in found), (untrusted, found[:3])
    assert all(sanitize(value) == value for _, _, value in found)
    assert sanitize(text) == text
    return len(found)


def _canaries(value: Any, field: str, parent: str = "") -> Iterator[tuple[str, str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _canaries(item, name, field or parent)
            if CANARY in str(name):
                yield field, parent, str(name)
    elif isinstance(value, list):
        for item in value:
            yield from _canaries(item, field, parent)
    elif isinstance(value, str) and CANARY in value:
        yield field, parent, value
