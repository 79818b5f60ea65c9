"""The two ways in, `serve --folder` and `init --folder`, and what `doctor` says of a folder."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from testlab_mcp.commands.main import main
from testlab_mcp.config.loading import load_config
from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.folder.conftest import Table


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, with the index in it."""
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


async def test_serve_needs_a_folder_and_nothing_else(reports: Path, home: Path, ask: ToolCaller) -> None:
    import os

    arguments = ["-m", "testlab_mcp", "serve", "--folder", str(reports)]
    env = {**os.environ, "HOME": str(home)}
    async with Client(StdioServerParameters(command=sys.executable, args=arguments, env=env)) as client:
        page = await ask(client, "list_runs", limit=0)
        made = await ask(client, "create_run", procedure_id="FVT1", serial_number="SN-1", outcome="pass")
        yields = await ask(client, "summarize_runs", metric="runs", since="2020-01-01")
    assert page["services"][0]["total"] == 17
    assert yields["total"]["runs"] == 18
    assert made["run_id"].startswith("reports:")


def test_init_without_the_extra_says_how_to_turn_statistics_on(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("testlab_tools.extra.STATISTICS", ("no_such_module",))
    path = tmp_path / "config.toml"
    assert main(["init", "--folder", str(reports), "--config", str(path)]) == 0
    out = capsys.readouterr().out
    assert 'Statistics are off: pip install "testlab-mcp[statistics]"' in out
    assert 'toolsets = ["default", "statistics"] in its [server] table' in out
    assert load_config(path).server.toolsets == ["default"]


async def test_a_refused_statistic_names_the_line_that_turns_it_on(
    reports: Path, table: Table, connect: Connect
) -> None:
    config = table(reports).replace('toolsets = ["all"]', 'toolsets = ["default", "deliveries"]')
    async with connect(config) as client:
        refused = await client.call_tool("summarize_runs", {"metric": "runs"})
    assert 'toolsets = ["default", "deliveries", "statistics"] turns it on' in str(refused.content)


@pytest.mark.parametrize("also", [["--demo"], ["--config", "x.toml"]])
def test_a_folder_and_another_lab_exclude_each_other(
    also: list[str], reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--folder", str(reports), *also]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_said_before_anything_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--folder", str(tmp_path / "none")]) == 2
    assert "there is no folder at" in capsys.readouterr().err


def test_init_writes_a_config_that_works_and_doctor_names_what_is_left_out(
    reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (reports / "cut.json").write_text('{"dut_id": "x", "phases": [', encoding="utf-8")
    (reports / "package.json").write_text("{}", encoding="utf-8")
    shutil.copy(reports / "nightly.xml", reports / "again.xml")
    path = tmp_path / "config.toml"
    assert main(["init", "--folder", str(reports), "--config", str(path)]) == 0
    assert "Statistics are off" not in capsys.readouterr().out
    assert load_config(path).server.toolsets == ["default", "statistics"]
    assert list(load_config(path).services) == ["reports"]
    assert main(["doctor", "--config", str(path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "17 runs in 18 reports: 2 hardpy, 2 junit, 14 openhtf; 1 file left out" in out
    assert "cut.json" in out
    assert "damaged or break off" in out
    assert "1 other JSON and XML files are no reports." in out
    assert main(["doctor", "--json", "--config", str(path)]) == 0
    (service,) = json.loads(capsys.readouterr().out)["services"]
    assert any("cut.json" in note for note in service["notes"])
    shutil.rmtree(reports)
    assert main(["doctor", "--config", str(path)]) == 1
    assert "is not there" in " ".join(capsys.readouterr().out.split())


def test_doctor_says_which_of_several_folders_is_not_there(
    reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    table = f"[services.bench]\nkind = 'folder'\npath = ['{reports}', '{tmp_path / 'gone'}', '{tmp_path}']\n"
    path.write_text(table, encoding="utf-8")
    path.chmod(0o600)
    assert main(["doctor", "--config", str(path)]) == 1
    assert "[services.bench] path, entry 2, and whether" in " ".join(capsys.readouterr().out.split())
    write_to = "write_to = '{}'\n".format(tmp_path / "new")
    path.write_text(table.replace(f"'{tmp_path / 'gone'}', '{tmp_path}'", "") + write_to, encoding="utf-8")
    assert main(["doctor", "--config", str(path)]) == 1
    assert "[services.bench] write_to and whether" in " ".join(capsys.readouterr().out.split())
