"""`pytest --testlab`, the real pytest as a process: a session becomes one run in a folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import pytest

from testlab_tools.models.requests import NewRun
from testlab_tools.reports.read import read_reports
from testlab_tools.reports.report import Report

PAGE = Path(__file__).parents[3] / "docs" / "pytest.md"
SUITE = """
import pytest

TRIES = []

@pytest.fixture(scope="session")
def testlab_unit():
    return {"serial_number": "SN-1", "part_number": "PCB-100", "batch_number": "LOT-42"}

@pytest.fixture
def supply(measure):
    measure("supply", 12.0, unit="V", low=11.4, high=12.6)

@pytest.fixture
def broken(): raise RuntimeError("no supply")

@pytest.fixture
def relay():
    yield
    raise RuntimeError("relay stuck")

@pytest.mark.parametrize("rail", [5, 12])
def test_rail(rail, supply, measure):
    print("rail", rail)
    assert measure(f"rail_{rail}v", rail + 0.02, unit="V", low=rail * 0.95, high=rail * 1.05)

def test_off(measure):
    assert not measure("rail_3v", 3.9, unit="V", low=3.1, high=3.5)
    assert measure("firmware", "2.1", expected="2.1")

@pytest.mark.flaky(reruns=2)
def test_flaky(measure):
    TRIES.append(1)
    measure("tries", len(TRIES), low=2)

@pytest.mark.xfail(reason="known")
def test_known(): assert 0
@pytest.mark.skip(reason="no probe")
def test_probe(): pass
def test_supply(broken): pass
def test_relay(relay): pass
"""
OUTCOMES = [
    ("test_rail[5]", "pass"),
    ("test_rail[12]", "pass"),
    ("test_off", "fail"),
    ("test_flaky", "fail"),
    ("test_flaky", "pass"),
    ("test_known", "skip"),
    ("test_probe", "skip"),
    ("test_supply", "error"),
    ("test_relay", "error"),
]


class RunPytest(Protocol):
    def __call__(self, suite: str, *options: str) -> subprocess.CompletedProcess[str]: ...


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", *options]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


@pytest.fixture
def run_pytest(tmp_path: Path) -> RunPytest:
    def run(suite: str, *options: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_board.py").write_text(suite, encoding="utf-8")
        return subprocess.run(
            command(*options), cwd=tmp_path, env=environment(), capture_output=True, encoding="utf-8", timeout=60
        )

    return run


def only_run(folder: Path) -> Report:
    (path,) = folder.iterdir()
    (report,) = read_reports(path.read_bytes(), path.name)
    return report


def outcomes(run: NewRun) -> list[tuple[str, str]]:
    return [(phase.name.rpartition("::")[2], phase.outcome) for phase in run.phases]


def measured(run: NewRun, test: str) -> list[Any]:
    return [(m.name, m.outcome, m.value) for p in run.phases if p.name.endswith(test) for m in p.measurements]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_session_is_one_run_with_every_attempt_and_measurement(
    workers: int, run_pytest: RunPytest, tmp_path: Path
) -> None:
    spread = ["-n", str(workers)] if workers else ["-p", "no:xdist"]
    done = run_pytest(SUITE, "--testlab", "--testlab-folder", "out", "--testlab-procedure", "FVT1", *spread)
    report = only_run(tmp_path / "out")
    run = report.run
    assert done.returncode == 1
    assert "the run (fail) is written to" in done.stdout
    assert sorted(outcomes(run)) == sorted(OUTCOMES)
    assert [outcome for name, outcome in outcomes(run) if name == "test_flaky"] == ["fail", "pass"]
    assert measured(run, "test_rail[5]") == [("supply", "pass", 12.0), ("rail_5v", "pass", 5.02)]
    assert measured(run, "test_off") == [("rail_3v", "fail", 3.9), ("firmware", "pass", "2.1")]
    assert measured(run, "test_flaky") == [("tries", "fail", 1), ("tries", "pass", 2)]
    assert (run.serial_number, run.part_number, run.batch_number, run.procedure_id) == (
        "SN-1",
        "PCB-100",
        "LOT-42",
        "FVT1",
    )
    reasons = {phase.name.rpartition("::")[2]: phase.reason for phase in run.phases}
    assert reasons["test_off"] == "rail_3v is 3.9 V, above 3.5"
    assert reasons["test_supply"] == "RuntimeError: no supply"
    assert reasons["test_known"] == "expected to fail: known"
    assert reasons["test_probe"] == "no probe"
    assert (run.outcome, report.station != "") == ("fail", True)
    assert "rail 12" in report.log


def test_without_the_option_a_measurement_still_fails_its_test_and_nothing_is_written(
    run_pytest: RunPytest, tmp_path: Path
) -> None:
    done = run_pytest("def test_a(measure): measure('v', float('nan'))", "-p", "no:xdist")
    assert "v is nan" in done.stdout
    assert "testlab" not in done.stdout
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("__")] == ["test_board.py"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_session_that_is_stopped_is_a_stopped_run_with_what_was_measured(number: int, tmp_path: Path) -> None:
    suite = "import time, pathlib\ndef test_a(): pass\ndef test_b(measure):\n    measure('v', 1)\n"
    suite += "    pathlib.Path('begun').touch()\n    time.sleep(60)\n"
    (tmp_path / "test_board.py").write_text(suite, encoding="utf-8")
    options = ("--testlab", "--testlab-folder", "out", "-p", "no:xdist")
    with subprocess.Popen(command(*options), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=30)
    run = only_run(tmp_path / "out").run
    assert run.outcome == "stopped"
    assert outcomes(run) == [("test_a", "pass"), ("test_b", "error")]
    assert run.phases[1].reason == "stopped while it ran"
    assert measured(run, "test_b") == [("v", "pass", 1)]


@pytest.mark.parametrize(
    ("suite", "outcome"),
    [
        ("import nothing_of_that_name", "error"),
        ("import pytest\ndef test_a(): pytest.exit('enough')", "stopped"),
        ("def test_a(): pass", "pass"),
    ],
)
def test_the_outcome_is_that_of_the_session(suite: str, outcome: str, run_pytest: RunPytest, tmp_path: Path) -> None:
    run_pytest(suite, "--testlab", "--testlab-folder", "out", "-p", "no:xdist")
    assert only_run(tmp_path / "out").run.outcome == outcome


def test_a_worker_that_crashes_is_an_error_of_its_test_at_its_time(run_pytest: RunPytest, tmp_path: Path) -> None:
    suite = "import os\ndef test_a(): pass\ndef test_b(): os._exit(1)\n"
    run_pytest(suite, "--testlab", "--testlab-folder", "out", "-n", "1", "--max-worker-restart", "0")
    run = only_run(tmp_path / "out").run
    assert dict(outcomes(run))["test_b"] == "error"
    assert run.outcome == "error"
    assert all(0 <= (phase.started_at - run.started_at).total_seconds() < 60 for phase in run.phases)


def test_a_session_in_which_no_test_ran_is_no_run(run_pytest: RunPytest, tmp_path: Path) -> None:
    done = run_pytest(SUITE, "--testlab", "--testlab-folder", "out", "-k", "test_probe", "-p", "no:xdist")
    assert "no test ran: nothing is recorded" in done.stdout
    assert list((tmp_path / "out").iterdir()) == []


def test_options_go_before_the_fixture_and_the_ini_file_comes_last(run_pytest: RunPytest, tmp_path: Path) -> None:
    ini = "[pytest]\ntestlab_folder = out\ntestlab_serial = SN-INI\ntestlab_revision = C\ntestlab_station = bench-3\n"
    (tmp_path / "pytest.ini").write_text(ini, encoding="utf-8")
    run_pytest(SUITE, "--testlab", "--testlab-part", "PCB-200", "-k", "test_rail", "-p", "no:xdist")
    report = only_run(tmp_path / "out")
    assert (report.run.serial_number, report.run.part_number, report.run.revision) == ("SN-1", "PCB-200", "C")
    assert report.station == "bench-3"


def test_nowhere_to_write_is_an_error_of_usage_before_any_test(run_pytest: RunPytest, tmp_path: Path) -> None:
    done = run_pytest("def test_a(): pass", "--testlab", "-p", "no:xdist")
    assert done.returncode == 4
    assert "needs --testlab-folder DIR or --testlab-service NAME" in done.stderr
    (tmp_path / "file").touch()
    assert run_pytest("def test_a(): pass", "--testlab", "--testlab-folder", "file/out").returncode == 4


def test_limits_that_are_none_are_an_error_of_the_test(run_pytest: RunPytest) -> None:
    suite = "def test_a(measure): measure('v', 'text', low=1)\ndef test_b(measure): measure('v', 1, low=2, high=1)\n"
    done = run_pytest(suite, "-p", "no:xdist")
    assert "TypeError: measure('v'): low and high are limits of a number" in done.stdout
    assert "ValueError: measure('v'): low is above high" in done.stdout


def test_the_documented_suite_runs_and_is_recorded(run_pytest: RunPytest, tmp_path: Path) -> None:
    (suite,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert run_pytest(suite, "--testlab", "--testlab-folder", "out", "-p", "no:xdist").returncode == 0
    run = only_run(tmp_path / "out").run
    assert (run.serial_number, run.procedure_id, run.outcome) == ("SN-0042", "FVT1", "pass")
    assert [m.name for phase in run.phases for m in phase.measurements] == ["rail_5v", "rail_12v", "firmware"]


def test_what_every_pytest_loads_imports_nothing_else() -> None:
    program = "import sys, pytest; before = {*sys.modules}; import testlab_tools.pytest_plugin"
    program += "; print(sorted({*sys.modules} - before - {'math'}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "['testlab_tools', 'testlab_tools.pytest_plugin']"
