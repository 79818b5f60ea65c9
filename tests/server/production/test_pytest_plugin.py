"""`pytest --testlab-service` and `testlab-mcp record`: a run reaches the service once, or is kept and said to be."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from testlab_mcp.commands.main import main
from testlab_mcp.commands.simlab import SimLab
from testlab_tools.models.requests import NewPhase, NewRun
from testlab_tools.reports.testlab_run import write_run
from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.production.conftest import Factory

SUITE = """
def test_rail(measure): measure("rail_5v", 5.31, unit="V", low=4.75, high=5.25)
def test_boot(): pass
"""
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def run_pytest(folder: Path, config: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_board.py").write_text(SUITE, encoding="utf-8")
    (folder / "config.toml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "--testlab"]
    command += ["--testlab-service", "factory", "--testlab-config", str(folder / "config.toml"), *options]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=60)


ABOUT = ("--testlab-serial", "SN-PYTEST", "--testlab-procedure", "Main board FCT", "--testlab-part", "P")
OPERATE = "\n[server]\naccess = 'operate'\n"


def test_a_session_on_two_workers_is_recorded_once(fresh_sim: SimLab, factory: Factory, tmp_path: Path) -> None:
    done = run_pytest(tmp_path, fresh_sim.config_toml() + OPERATE, "-n", "2", *ABOUT)
    assert "the run is recorded as factory:" in done.stdout, done.stdout
    (row,) = factory.rows_of("SN-PYTEST")
    kept = factory.run(f"factory:{row['id']}")
    rail = next(phase for phase in kept["phases"] if phase["name"].endswith("test_rail"))
    assert (kept["outcome"], rail["outcome"], len(kept["phases"])) == ("FAIL", "FAIL", 2)
    assert [(m["name"], m["measured_value"], m["units"]) for m in rail["measurements"]] == [("rail_5v", 5.31, "V")]
    assert list((tmp_path / ".testlab").iterdir()) == []


async def test_a_session_given_to_a_folder_is_seen_by_a_client_of_that_folder(
    tmp_path: Path, connect: Connect, ask: ToolCaller
) -> None:
    (tmp_path / "reports").mkdir()
    tables = [("durable", "path", "d.sqlite"), ("services.factory", "path", "reports")]
    config = "".join(f"[{table}]\n{key} = {json.dumps(str(tmp_path / name))}\n" for table, key, name in tables)
    config += f'kind = "folder"\nindex_folder = {json.dumps(str(tmp_path / "index"))}\n[audit]\nenabled = false\n'
    done = await asyncio.to_thread(run_pytest, tmp_path, config + OPERATE, "-p", "no:xdist", *ABOUT)
    assert "the run is recorded as factory:" in done.stdout, done.stdout
    async with connect(config + OPERATE) as client:
        (run,) = (await ask(client, "list_runs", service="factory", unit="SN-PYTEST"))["runs"]
        found = await ask(client, "get_failed_cases", run_id=run["run_id"])
    (case,) = found["runs"][0]["cases"]
    assert (run["outcome"], run["test"]) == ("fail", "Main board FCT")
    assert case["reason"] == "rail_5v is 5.31 V, above 5.25"
    assert [(m["name"], m["value"], m["upper"]) for m in case["measurements"]] == [("rail_5v", 5.31, 5.25)]


def test_a_service_that_is_down_leaves_the_run_queued(dead_url: str, tmp_path: Path) -> None:
    database = json.dumps(str(tmp_path / "deliveries.sqlite"))
    config = (
        f'[durable]\npath = {database}\n[audit]\nenabled = false\n{OPERATE}[services.factory]\nkind = "tofupilot"\n'
    )
    done = run_pytest(tmp_path, f'{config}url = "{dead_url}"\ntoken = "t"\n', "-p", "no:xdist", *ABOUT)
    assert "the run is queued for factory as delivery" in done.stdout, done.stdout


def test_a_run_that_the_service_cannot_take_is_kept_and_recorded_once_later(
    fresh_sim: SimLab, factory: Factory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("-p", "no:xdist", "-k", "test_boot", "--testlab-procedure", "Main board FCT")
    done = run_pytest(tmp_path, fresh_sim.config_toml() + OPERATE, *options)
    assert done.returncode == 1, "a run that is not recorded is no success"
    assert "NOT recorded at factory" in done.stdout
    assert "names no serial_number" in done.stdout
    (kept,) = (tmp_path / ".testlab").iterdir()
    report = json.loads(kept.read_bytes())
    kept.write_text(json.dumps(report | {"unit": {"serial_number": "SN-LATER", "part_number": "P"}}), encoding="utf-8")
    for _ in range(2):
        assert main(["record", str(kept), "--service", "factory", "--config", str(tmp_path / "config.toml")]) == 0
    assert "already" in capsys.readouterr().out
    assert factory.runs_of("SN-LATER") == 1


def test_record_reads_a_file_that_the_configs_folders_do_not_hold(
    fresh_sim: SimLab, factory: Factory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phase = NewPhase("boot", "pass", NOON, NOON)
    run = NewRun("Main board FCT", "SN-REC", "pass", NOON, NOON, str(uuid4()), part_number="P", phases=(phase,))
    (tmp_path / "config.toml").write_text(fresh_sim.config_toml() + OPERATE, encoding="utf-8")
    (tmp_path / "run.json").write_bytes(write_run(run))
    options = ["--service", "factory", "--config", str(tmp_path / "config.toml"), "--json"]
    assert main(["record", str(tmp_path / "run.json"), *options]) == 0
    assert json.loads(capsys.readouterr().out)["run_ids"]
    assert factory.runs_of("SN-REC") == 1
    assert main(["record", str(tmp_path / "none.json"), *options]) == 2
