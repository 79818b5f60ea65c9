"""Reports of real programs, each in an environment of its own, are read as the runs they are: pytest, allure-pytest,
pytest-json-ctrf, Robot Framework and CTest."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from testlab_tools.models.requests import NewPhase
from testlab_tools.reports.allure import read_allure
from testlab_tools.reports.read import read_reports
from testlab_tools.reports.report import Report

BOARD = """
import allure, pytest

@pytest.fixture
def supply():
    raise RuntimeError("no supply")

@pytest.fixture
def relay():
    yield
    raise RuntimeError("relay stuck")

def test_boot(record_testsuite_property):
    record_testsuite_property("Serial Number", "SN-1")
    with allure.step("read"):
        allure.attach("t,v", name="trace", attachment_type=allure.attachment_type.CSV)

@pytest.mark.parametrize("volt", [5, 12])
def test_rail(volt):
    assert volt == 5, "rail is off"

def test_supply(supply): pass
def test_relay(relay): pass
@pytest.mark.skip(reason="no probe")
def test_probe(): pass
@pytest.mark.xfail(reason="known")
def test_known(): assert 0
"""
ROBOT = """
*** Settings ***
Metadata    serial-number    SN-9
Metadata    operator    mk
*** Test Cases ***
Menu Appears
    Log    hello
Rail Is On
    Fail    rail_5v is 5.31 V
No Probe
    Skip    no probe
"""
CTEST = """
add_test(boots "{0}" "-c" "")
add_test(measures "{0}" "-c" "raise SystemExit(1)")
add_test(missing "{1}/no-such-program")
add_test(skips "{0}" "-c" "raise SystemExit(77)")
set_tests_properties(skips PROPERTIES SKIP_RETURN_CODE 77)
add_test(off "{0}" "-c" "raise SystemExit(1)")
set_tests_properties(off PROPERTIES DISABLED TRUE)
"""


class Written(NamedTuple):
    folder: Path
    python: Path


@pytest.fixture(scope="module")
def written(
    client_python: Callable[..., Path], client_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Written:
    """A folder with what pytest and its plugins wrote of one session."""
    python, folder = client_python("report-writers"), tmp_path_factory.mktemp("written")
    (folder / "test_board.py").write_text(BOARD, encoding="utf-8")
    options = ["--junitxml", "junit.xml", "--ctrf", "ctrf.json", "--alluredir", "allure", "-p", "no:cacheprovider"]
    done = subprocess.run([python, "-m", "pytest", *options], cwd=folder, env=client_settings, capture_output=True)
    assert done.returncode == 1, done.stdout.decode()
    (folder / "allure" / "environment.properties").write_text("serial_number = SN-1\n", encoding="utf-8")
    return Written(folder, python)


def outcomes(report: Report) -> dict[str, str]:
    return {phase.name.rpartition("::")[2]: phase.outcome for phase in report.run.phases}


def phase(report: Report, name: str) -> NewPhase:
    return next(phase for phase in report.run.phases if phase.name.endswith(name))


BOARD_OUTCOMES = {
    "test_boot": "pass",
    "test_rail[5]": "pass",
    "test_rail[12]": "fail",
    "test_supply": "error",
    "test_relay": "error",
    "test_probe": "skip",
    "test_known": "skip",
}


def test_allure_pytests_folder_is_one_run_with_its_files(written: Written) -> None:
    report = read_allure(written.folder / "allure")
    assert outcomes(report) == BOARD_OUTCOMES
    assert (report.run.outcome, report.run.serial_number) == ("fail", "SN-1")
    assert phase(report, "test_rail[12]").reason == "AssertionError: rail is off"
    assert "relay stuck" in phase(report, "test_relay").traceback
    (trace,) = report.files
    assert (written.folder / "allure" / trace).read_text(encoding="utf-8") == "t,v"
    assert report.dropped == ("1 step",)


def test_pytests_xml_is_one_run(written: Written) -> None:
    (report,) = read_reports((written.folder / "junit.xml").read_bytes(), "junit.xml")
    assert outcomes(report) == BOARD_OUTCOMES
    assert (report.run.outcome, report.run.serial_number) == ("fail", "SN-1")
    assert report.station
    assert phase(report, "test_probe").reason == "no probe"


def test_ctrf_of_a_pytest_plugin_is_one_run_in_which_an_error_is_a_failure(written: Written) -> None:
    (report,) = read_reports((written.folder / "ctrf.json").read_bytes(), "ctrf.json")
    assert outcomes(report) == BOARD_OUTCOMES | {"test_supply": "fail", "test_relay": "fail"}
    assert phase(report, "test_rail[12]").reason == "AssertionError: rail is off"
    assert (report.run.outcome, report.missing) == ("fail", ["serial_number", "procedure_id"])


def test_robots_xunit_has_its_metadata(written: Written, client_settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "board.robot").write_text(ROBOT, encoding="utf-8")
    options = ["--xunit", "xunit.xml", "--output", "NONE", "--log", "NONE", "--report", "NONE"]
    robot = [written.python, "-m", "robot", *options, "board.robot"]
    assert subprocess.run(robot, cwd=tmp_path, env=client_settings, capture_output=True).returncode == 1
    (report,) = read_reports((tmp_path / "xunit.xml").read_bytes(), "xunit.xml")
    assert outcomes(report) == {"Menu Appears": "pass", "Rail Is On": "fail", "No Probe": "skip"}
    assert (report.run.serial_number, report.operator, report.run.outcome) == ("SN-9", "mk", "fail")
    assert report.run.notes == "Board::Rail Is On: rail_5v is 5.31 V"


def test_a_test_that_ctest_could_not_start_is_an_error_and_a_disabled_one_is_skipped(
    written: Written, client_settings: dict[str, str], tmp_path: Path
) -> None:
    listed = CTEST.format(written.python.as_posix(), tmp_path.as_posix())
    (tmp_path / "CTestTestfile.cmake").write_text(listed, encoding="utf-8")
    ctest = [written.python, "-c", "import cmake; cmake.ctest()", "--output-junit", "out.xml"]
    subprocess.run(ctest, cwd=tmp_path, env=client_settings, capture_output=True)
    (report,) = read_reports((tmp_path / "out.xml").read_bytes(), "out.xml")
    assert outcomes(report) == {
        "boots": "pass",
        "measures": "fail",
        "missing": "error",
        "skips": "skip",
        "off": "skip",
    }
    assert phase(report, "missing").reason == "Unable to find executable"
