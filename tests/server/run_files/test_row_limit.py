"""list_runs and export_runs go past the 2,000 rows that the portal lists at once."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.run_files.conftest import Portal


async def test_all_results_can_be_listed_past_the_limit_none_lost_and_none_twice(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller
) -> None:
    until = datetime.now(UTC).isoformat()
    seen: list[tuple[str, str]] = []
    async with connect(lab.config_toml()) as client:
        cursor = ""
        while True:
            page = await ask(client, "list_runs", service="portal", until=until, limit=200, cursor=cursor)
            seen += [(run["run_id"], run["started_at"]) for run in page["runs"]]
            if not (cursor := page.get("cursor", "")):
                break
    rows = [row for row in portal.every_result() if row["start_time"] < until]
    assert len(rows) > 6_000
    assert len(seen) == len({run for run, _ in seen})
    assert {run for run, _ in seen} == {f"portal:{row['result_id']}" for row in rows}
    assert [start for _, start in seen] == sorted((start for _, start in seen), reverse=True)
    assert max(Counter(row["start_time"] for row in rows).values()) > 1, "no two runs began at once: nothing was tried"


@pytest.mark.parametrize("form", ["csv", "junit"])
async def test_a_report_goes_past_the_limit_none_lost_and_none_twice(
    form: str, lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    until = datetime.now(UTC).isoformat()
    async with connect(lab.config_toml(str(tmp_path))) as client:
        answer = await ask(client, "export_runs", service="portal", save_to=f"all.{form}", format=form, until=until)
    rows = [row for row in portal.every_result() if row["start_time"] < until]
    written = tmp_path / f"all.{form}"
    assert (answer["runs"], answer["bytes"]) == (len(rows), written.stat().st_size)
    assert len(rows) > 6_000
    assert "Put together from 4 reports" in answer["note"]
    assert "lists" not in answer["note"]
    if form == "csv":
        with written.open(encoding="utf-8", newline="") as file:
            read = list(csv.DictReader(file))
        assert len(read) == len(rows)
        told = {row["run_id"]: row["outcome"] for row in read}
        assert told == {f"portal:{row['result_id']}": row["result"] for row in rows}
        assert answer["columns"] == list(read[0])
        assert {"run_id", "job_uid", "outcome", "test", "started_at", "reason"} <= set(answer["columns"])
    else:
        root = Xml.parse(written).getroot()
        assert (root.tag, {suite.tag for suite in root}) == ("testsuites", {"testsuite"})
        assert [int(suite.get("tests", "")) for suite in root] == [len(suite) for suite in root]
        assert all(suite.get("timestamp", "").endswith("+00:00") for suite in root)
        told = Counter(f"{case.get('classname')}::{case.get('name')}" for case in root.iter("testcase"))
        assert told == Counter(row["test_case"] for row in rows)
        reasons = [case.find("failure") for case in root.iter("testcase") if case.find("failure") is not None]
        assert len(reasons) == sum(row["result"] == "fail" for row in rows)
        assert all("Traceback" in (reason.text or "") for reason in reasons if reason is not None)


async def test_a_reports_filters_are_those_of_list_runs(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    row = portal.failed()
    station = row["result_id"].split("/")[1]
    how = {"outcome": "fail", "station": f"portal:{station}", "since": "60d", "filter": "-category:nobodys"}
    async with connect(lab.config_toml(str(tmp_path))) as client:
        listed = await ask(client, "list_runs", service="portal", limit=200, **how)
        report = await ask(client, "export_runs", service="portal", save_to="r.csv", **how)
        nothing = await ask(
            client, "export_runs", service="portal", save_to="none.xml", format="junit", test="no such test"
        )
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        ids = [row["run_id"] for row in csv.DictReader(file)]
    assert ids == [run["run_id"] for run in listed["runs"]]
    assert report["runs"] == len(ids) > 0
    assert nothing["runs"] == 0
    assert len(list(Xml.parse(tmp_path / "none.xml").getroot().iter("testcase"))) == 0
