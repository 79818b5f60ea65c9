"""Which files of tests run, in which order they begin, and what is told once all are done."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import forks, once
from tests.changed import touched_tests
from tests.fork_server import freeze

FIGURES = "fault matrix"
FOLDERS = ("XDG_DATA_HOME", "XDG_CACHE_HOME")
TOUCHED = pytest.StashKey[set[Path]]()
LONG = (
    "hostile/test_corpus",
    "clients/agents/",
    "campaigns/test_campaigns",
    "faults/tools/test_statuses",
    "outbox/test_imports",
    "repository/test_docs_run",
    "campaigns/test_listening",
    "strict/test_once",
    "clients/conformance/",
    "faults/tools/",
    "outbox/",
    "clients/test_hardpy_panel",
    "watches/",
    "campaigns/",
    "faults/",
    "hostile/test_bytes",
    "server/test_reports",
    "archive/test_sync",
    "charts/test_charts",
    "clients/test_inspector",
    "archive/test_known_runs",
    "server/test_six_operations",
    "pytest_plugin",
    "server/test_wrong_url",
    "run_files/test_memory",
    "tofupilot/test_statuses",
    "statistics/test_planted",
    "standcloud/test_paging",
    "archive/test_parquet",
    "server/analysis/",
    "server/test_stdio",
    "load/",
)
"""Files that take a quarter of a minute and more, longest first: they begin first, so that no process works on one
alone at the end. Those that wait for others stand beside those that keep a processor busy."""
MANY_INPUTS = (
    "server/hostile/",
    "server/faults/",
    "server/load/",
    "server/outbox/test_crashes",
    "server/run_files/test_memory",
    "server/test_wrong_url",
    "server/tofupilot/strict/",
    "server/tofupilot/test_statuses",
    "tools/adapters/standcloud/test_paging",
    "tools/archive/test_parquet",
    "tools/charts/",
    "tools/statistics/test_false_alarms",
)
"""What puts many, large or random inputs through modules that other tests run as well, and takes longest."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--changed", action="store_true", help="only the files of tests that the changes since main touch")
    parser.addoption("--few-inputs", action="store_true", help=f"all but {', '.join(MANY_INPUTS)}")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in all that a shell starts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # what is collected stays, and is looked at once: by `freeze`
    once.share()
    config.add_cleanup(forks.start())
    for name in FOLDERS:
        if name not in os.environ:
            # Simulated labs are given ports that labs before them had: nothing kept of those may be taken for theirs.
            folder = tempfile.TemporaryDirectory(prefix="testlab-tests-")
            config.add_cleanup(folder.cleanup)
            os.environ[name] = folder.name
    if config.getoption("--changed"):
        try:
            config.stash[TOUCHED] = touched_tests()
        except OSError as error:
            raise pytest.UsageError(f"--changed: {error}") from None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--changed`, every file of tests that no change touches; with `--few-inputs`, those of many."""
    if config.getoption("--few-inputs") and any(part in collection_path.as_posix() for part in MANY_INPUTS):
        return True
    if TOUCHED in config.stash and collection_path.name.startswith("test_") and collection_path.is_file():
        return collection_path not in config.stash[TOUCHED] or None
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, then those of many tests, as xdist would have them; within a file as it stands."""
    sizes = Counter(item.path for item in items)
    long = {path: [part in path.as_posix() for part in (*LONG, "")].index(True) for path in sizes}
    items.sort(key=lambda item: (long[item.path], -sizes[item.path]))


def pytest_collection_finish() -> None:
    """What is there before the first test stays: no collection of garbage need look at it."""
    freeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line, if any test of `tests/server/faults` has run: cells, calls, and what the calls came to."""
    counted: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for figures in (value for name, value in report.user_properties if name == FIGURES):
                    counted.update(figures)
    if counted:
        came_to = ", ".join(f"{n} {name}" for name, n in counted.most_common() if name not in ("cells", "calls"))
        terminalreporter.write_line(f"{FIGURES}: {counted['cells']} cells, {counted['calls']} calls: {came_to}")
