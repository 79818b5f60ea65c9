"""`testlab-mcp worker`: runs what servers have stored that leave it to it; of several, one."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_mcp.commands.main import main
from tests.server_processes import ServerProcess, start_server

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window

ELSEWHERE = "\nrun_here = false"


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[[], ServerProcess]]:
    """Start a worker on the config that the servers have, and wait until it says that it runs."""
    with ExitStack() as stack:

        def start() -> ServerProcess:
            config = str(tmp_path / "shared.toml")
            worker = stack.enter_context(start_server("worker", "--config", config, stderr=subprocess.PIPE))
            stack.callback(worker.kill)
            assert worker.stderr
            assert "runs what is stored" in worker.stderr.readline()
            return worker

        yield start


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_worker_sends_what_servers_leave_to_it_and_another_goes_on_when_it_is_killed(
    plant: Plant,
    open_window: Callable[[str], Window],
    start_worker: Callable[[], ServerProcess],
    request: pytest.FixtureRequest,
    until: Callable[..., Any],
    database: str,
) -> None:
    config = plant.config(request.getfixturevalue(database) + ELSEWHERE, answer_within=0.3)
    server = open_window(config)
    assert server.call("create_run", **plant.run("SN-1"))["queued"]
    assert plant.serials() == []
    first = start_worker()
    until(lambda: plant.serials() == ["SN-1"])
    start_worker()
    server.call("create_run", **plant.run("SN-2"))
    until(lambda: plant.serials() == ["SN-1", "SN-2"])
    plant.trouble(action="status", status=503)
    server.call("create_run", **plant.run("SN-3"))
    first.kill()
    first.wait()
    plant.calm()
    until(lambda: plant.serials() == ["SN-1", "SN-2", "SN-3"])
    until(lambda: server.call("list_deliveries")["delivered"] == 3)


def test_a_worker_that_is_told_to_end_ends_well_and_leaves_the_rest_to_the_next(
    plant: Plant,
    open_window: Callable[[str], Window],
    start_worker: Callable[[], ServerProcess],
    sqlite: str,
    until: Callable[..., Any],
) -> None:
    server = open_window(plant.config(sqlite + ELSEWHERE, answer_within=0.3))
    worker = start_worker()
    plant.trouble(action="status", status=503)
    server.call("create_run", **plant.run("SN-1"))
    until(lambda: plant.struck() > 0)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0
    plant.calm()
    start_worker()
    until(lambda: plant.serials() == ["SN-1"])


def test_a_worker_has_nothing_to_do_where_nothing_is_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[durable]\nenabled = false\n[services.a]\nkind = "folder"\npath = "."\n', encoding="utf-8")
    assert main(["worker", "--config", str(config)]) == 2
    assert "[durable] enabled is false" in capsys.readouterr().err
