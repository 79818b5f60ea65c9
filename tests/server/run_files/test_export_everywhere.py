"""export_runs writes the runs of every archive, with the filters of list_runs and in its words."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller


async def _listed(ask: ToolCaller, client: Any, **which: object) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await ask(client, "list_runs", **which, limit=200, cursor=cursor)
        runs += page["runs"]
        if not (cursor := page.get("cursor", "")):
            return runs


def _read(table: dict[str, Any]) -> list[dict[str, str]]:
    with Path(table["saved_to"]).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("service", ["factory", "old", "cloud"])
async def test_every_archive_is_written_as_it_is_listed(
    service: str, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    tofupilot = sim.services()["tofupilot"]
    old = f'[services.old]\nkind = "tofupilot"\napi_version = "v1"\nurl = "{tofupilot["url"]}"\n'
    async with connect(f'{sim.config_toml()}\n{old}token = "{tofupilot["token"]}"\n') as client:
        unit = (await ask(client, "list_runs", service="factory", outcome="fail", limit=1))["runs"][0]["unit"]
        which = {"service": service, **({"unit": unit} if service == "old" else {"since": "2d"})}
        table = await ask(client, "export_runs", save_to="runs.csv", **which)
        report = await ask(client, "export_runs", save_to="runs.xml", format="junit", **which)
        runs = await _listed(ask, client, **which)
    read = _read(table)
    assert table["columns"] == list(read[0])
    assert table["runs"] == report["runs"] == len(runs) == len(read) > 0
    for row, run in zip(read, runs, strict=True):
        assert {name: value for name, value in row.items() if value} == {
            name: str(value) for name, value in run.items() if name in row
        }
    cases = list(Xml.parse(report["saved_to"]).getroot().iter("testcase"))
    assert [case.get("name") for case in cases] == [run["test"] for run in runs]
    assert sum(case.find("failure") is not None for case in cases) == sum(run["outcome"] == "fail" for run in runs)


async def test_more_than_a_page_is_written_whole(sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(sim.config_toml()) as client:
        which = {"service": "factory", "outcome": "fail", "part": "STB-4K"}
        table = await ask(client, "export_runs", save_to="failed.csv", **which)
        runs = await _listed(ask, client, **which)
    ids = [row["run_id"] for row in _read(table)]
    assert ids == [run["run_id"] for run in runs]
    assert len(ids) > 200


async def test_a_filter_that_a_service_does_not_have_is_refused_and_nothing_is_saved(
    sim: SimLab, connect: Connect, refused: RefusedCaller, tmp_path: Path
) -> None:
    async with connect(sim.config_toml()) as client:
        told = await refused(client, "export_runs", save_to="a.csv", service="portal", unit="SN-1")
        assert "cannot find runs by serial number" in told
        assert "one of" in await refused(client, "export_runs", save_to="a.csv")
    assert not list(tmp_path.rglob("a.csv"))
