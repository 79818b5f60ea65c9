"""`testlab-mcp call run_tests --wait`, as CI runs it: the job's outcome is its own, and the node is given back."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from junitparser import JUnitXml

from tests.server.jobs.conftest import Bench
from tests.server_processes import server_command

FAILING = "tests/settings.py::test_that_language_can_be_changed"


@contextmanager
def called(bench: Bench, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    config = folder / "config.toml"
    config.write_text(bench.config, "utf-8")
    command = [*server_command(), "call", "run_tests", "--config", str(config)]
    order = ["--node-id", bench.node, "--test-pack-revision", "main", *words]
    process = subprocess.Popen([*command, *order], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_running(bench: Bench) -> bool:
    job = bench.you.get(f"/nodes/{bench.node}").json().get("job") or {}
    return job.get("status") == "running"


def is_free(bench: Bench) -> bool:
    node = bench.you.get(f"/nodes/{bench.node}").json()
    return node["available"] and not node.get("reservation")


def test_a_job_that_passes_ends_with_0_and_a_junit_report_and_the_node_is_free(bench: Bench, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    with called(bench, tmp_path, "--test-cases", bench.quick, "--junit", str(report)) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "passed      1" in out
    assert "1 of 1 tests done" in err
    suites = JUnitXml.fromfile(str(report))
    assert [suite.tests for suite in suites] == [1]
    assert is_free(bench)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "report.xml"], "nothing half-written"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_job_and_gives_the_node_back(
    how: signal.Signals, bench: Bench, tmp_path: Path
) -> None:
    with called(bench, tmp_path, "--test-cases", bench.slow, "--wait") as process:
        await bench.until(lambda: is_running(bench))
        reserved = bench.you.get(f"/nodes/{bench.node}").json()["reservation"]
        assert reserved["message"] == "testlab-mcp call run_tests"
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not is_running(bench)
    assert is_free(bench)


def test_a_node_that_a_colleague_holds_ends_with_1_and_nothing_is_started(bench: Bench, tmp_path: Path) -> None:
    with bench.reserved(bench.colleague), called(bench, tmp_path, "--test-cases", bench.quick, "--wait") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "reserved" in err
    assert bench.asked("/run_tests", "POST") == 0


def test_a_reservation_of_ones_own_stays(bench: Bench, tmp_path: Path) -> None:
    with bench.reserved(bench.you):
        with called(bench, tmp_path, "--test-cases", bench.quick, "--wait") as process:
            process.communicate(timeout=60)
        assert process.returncode == 0
        assert bench.you.get(f"/nodes/{bench.node}").json()["reservation"]["message"] == "m"


def test_a_report_that_cannot_be_written_ends_with_1_and_the_node_is_free(bench: Bench, tmp_path: Path) -> None:
    nowhere = tmp_path / "no such folder" / "report.xml"
    with called(bench, tmp_path, "--test-cases", bench.quick, "--junit", str(nowhere)) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be written" in err
    assert is_free(bench)
