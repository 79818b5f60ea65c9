"""A folder that real programs fill, OpenHTF, pytest and allure-pytest, is an archive: its runs are listed, explained
and counted by the server's own command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SUITE = """
def test_boot(record_testsuite_property):
    record_testsuite_property("serial_number", "SN-7")

def test_rail():
    assert 5.31 < 5.15, "rail_5v is 5.31 V"
"""


@pytest.fixture(scope="module")
def reports(
    client_python: Callable[..., Path], client_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Three OpenHTF runs, one of which fails, and a pytest session that fails, as JUnit XML and as Allure results."""
    folder = tmp_path_factory.mktemp("reports")
    script = Path(__file__).parent / "scripts" / "openhtf_to_folder.py"
    python = client_python("tofupilot-1.12.1")
    for serial_number, voltage in (("SN-1", "5.0"), ("SN-2", "5.31"), ("SN-3", "5.01")):
        command = [python, script, serial_number, voltage, folder / f"{serial_number}.json"]
        subprocess.run(command, cwd=folder, env=client_settings, check=True, capture_output=True)
    (folder / "test_board.py").write_text(SUITE, encoding="utf-8")
    options = ["--junitxml", "junit.xml", "--alluredir", "allure", "-p", "no:cacheprovider", "-q"]
    pytest_there = [client_python("report-writers"), "-m", "pytest", *options]
    assert subprocess.run(pytest_there, cwd=folder, env=client_settings, capture_output=True).returncode == 1
    return folder


@pytest.fixture(scope="module")
def call(reports: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """A tool's answer, from a shell."""
    kept = tmp_path_factory.mktemp("kept")
    config = kept / "config.toml"
    tables = {
        "server": {"toolsets": ["all"]},
        "services.reports": {"kind": "folder", "path": str(reports), "index_folder": str(kept)},
        "archive": {"path": str(kept / "archive")},
        "audit": {"enabled": False},
        "durable": {"enabled": False},
    }
    lines = [
        f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items()) for name, keys in tables.items()
    ]
    config.write_text("".join(lines), encoding="utf-8")

    def called(tool: str, *arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "testlab_mcp", "call", tool, "--config", str(config), "--json", *arguments]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return called


def test_what_real_programs_write_is_listed_explained_and_counted(call: Callable[..., dict[str, Any]]) -> None:
    listed = call("list_runs", "--since", "24h")
    assert sorted((run.get("unit", ""), run["outcome"]) for run in listed["runs"]) == [
        ("", "fail"),  # the Allure results, which name no unit
        ("SN-1", "pass"),
        ("SN-2", "fail"),
        ("SN-3", "pass"),
        ("SN-7", "fail"),
    ]
    failed = next(run for run in listed["runs"] if run.get("unit") == "SN-2")
    explained = call("explain_failure", "--run-id", failed["run_id"])
    assert "rail_5v" in json.dumps(explained)
    (case,) = call("get_failed_cases", "--run-ids", failed["run_id"])["runs"][0]["cases"]
    assert [(m["name"], m["value"], m["lower"], m["upper"]) for m in case["measurements"]] == [
        ("rail_5v", 5.31, 4.85, 5.15)
    ]
    yields = call("summarize_runs", "--metric", "first_pass_yield", "--test", failed["test"], "--since", "24h")
    assert (yields["total"]["passed"], yields["total"]["n"]) == (2, 3)
