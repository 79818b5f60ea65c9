"""Several servers, one database: exactly one sends; when it dies another does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window


def test_of_three_servers_one_sends_and_when_it_is_killed_another_takes_over(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str, until: Callable[..., Any], tmp_path: Path
) -> None:
    lock = tmp_path / "deliveries.sqlite.lock"
    windows = [open_window(plant.config(sqlite, answer_within=8)) for _ in range(3)]
    windows[0].call("create_run", **plant.run("SN-0"))
    assert int(lock.read_text(encoding="utf-8")) == windows[0].pid
    for n in (1, 2):  # written by the others, sent by the first
        assert windows[n].call("create_run", **plant.run(f"SN-{n}"))["run_id"]
        assert int(lock.read_text(encoding="utf-8")) == windows[0].pid
    plant.trouble(action="status", status=503)
    asked = [window.ask("create_run", **plant.run(f"SN-LATE-{n}")) for n, window in enumerate(windows)]
    for window, number in zip(windows, asked, strict=True):
        assert window.answer(number)["result"]["structuredContent"]["queued"]
    windows[0].kill()
    others = {window.pid for window in windows[1:]}
    until(lambda: int(lock.read_text(encoding="utf-8") or 0) in others)
    plant.calm()
    until(lambda: len(plant.serials()) == 6)
    assert plant.serials() == ["SN-0", "SN-1", "SN-2", "SN-LATE-0", "SN-LATE-1", "SN-LATE-2"]
    until(lambda: windows[2].call("list_deliveries")["delivered"] == 6)
    listed = windows[2].call("list_deliveries")
    assert (listed["waiting"], listed["parked"]) == (0, 0)


def test_a_run_written_through_a_server_that_is_not_the_leader_outlives_it(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str, until: Callable[..., Any]
) -> None:
    first, second = (open_window(plant.config(sqlite)) for _ in range(2))
    first.call("create_run", **plant.run("SN-FIRST"))
    plant.trouble(action="status", status=503)
    second.call("create_run", **plant.run("SN-SECOND"))
    second.kill()
    plant.calm()
    until(lambda: plant.serials() == ["SN-FIRST", "SN-SECOND"])
