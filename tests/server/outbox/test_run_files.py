"""The files of a run reach its service with it: through an outage, a kill, a refusal; each once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window

VERSIONS = pytest.mark.parametrize("version", ["v2", "v1"])
STORE = {"method": "PUT", "path_prefix": "/storage/"}
OPENHTF = Path(__file__).parents[2] / "samples" / "openhtf_lot" / "SN-0000.1.json"
STDF = Path(__file__).parents[2] / "samples" / "stdf" / "two_parts.stdf"
NAMES = ["a.txt", "b.txt", "c.txt"]
ALL = [("a.txt", 1), ("b.txt", 2), ("c.txt", 3)]


@pytest.fixture
def three(folder: Path) -> list[str]:
    """Three files, of one, two and three bytes."""
    for size, name in enumerate(NAMES, 1):
        (folder / name).write_bytes(b"x" * size)
    return NAMES


def stored_files(tmp_path: Path) -> int:
    """How many contents of files are in the database."""
    with closing(sqlite3.connect(tmp_path / "deliveries.sqlite")) as connection:
        return connection.execute("SELECT count(*) FROM delivery_files").fetchone()[0]


@VERSIONS
def test_files_of_a_run_given_in_an_outage_are_sent_after_it_though_the_server_is_killed(
    version: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    three: list[str],
    folder: Path,
    until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    plant.trouble(action="reset")
    window = open_window(plant.config(durable, version, answer_within=1))
    answer = window.call("create_run", **plant.run("SN-1", attachments=three))
    assert "3 attachments are kept and sent with it" in answer["note"]
    (waiting,) = window.call("list_deliveries")["deliveries"]
    assert (waiting["kind"], waiting["files"]) == ("run", 3)
    window.kill()
    for name in three:  # what was kept is what was given
        (folder / name).unlink()
    plant.calm()
    window = open_window(plant.config(durable, version))
    (done,) = until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    assert (done["delivery_id"], done["files"], done["files_sent"]) == (answer["queued"], 3, 3)
    assert plant.files("SN-1") == ALL
    until(lambda: stored_files(tmp_path) == 0)


@VERSIONS
def test_a_server_killed_between_run_and_file_leaves_both_to_the_next(
    version: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    three: list[str],
    until: Callable[..., Any],
) -> None:
    plant.trouble(**STORE, status=503)
    window = open_window(plant.config(durable, version))
    window.ask("create_run", **plant.run("SN-1", attachments=three))
    until(plant.struck)
    assert plant.files("SN-1") == []
    window.kill()
    plant.calm()
    window = open_window(plant.config(durable, version))
    until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    assert plant.files("SN-1") == ALL


@VERSIONS
def test_files_that_were_sent_before_a_kill_are_not_sent_again(
    version: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    three: list[str],
    until: Callable[..., Any],
) -> None:
    plant.trouble(**STORE, action="slow", seconds=0, times=1)
    plant.trouble(**STORE, status=503)
    window = open_window(plant.config(durable, version))
    answer = window.call("create_run", **plant.run("SN-1", attachments=three))
    assert answer["run_id"].startswith("factory:")
    assert "2 of 3 attachments are still to be sent" in answer["note"]
    (waiting,) = window.call("list_deliveries")["deliveries"]
    assert (waiting["run_id"], waiting["files_sent"]) == (answer["run_id"], 1)
    assert "HTTP 503" in waiting["reason"]
    window.kill()
    plant.calm()
    window = open_window(plant.config(durable, version))
    until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    assert plant.files("SN-1") == ALL


@VERSIONS
def test_a_server_killed_while_a_file_is_on_its_way_loses_none(
    version: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    three: list[str],
    until: Callable[..., Any],
) -> None:
    plant.trouble(**STORE, action="slow", seconds=2, times=1)
    window = open_window(plant.config(durable, version))
    window.ask("create_run", **plant.run("SN-1", attachments=three))
    until(plant.struck)
    window.kill()
    window = open_window(plant.config(durable, version))
    until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    assert set(plant.files("SN-1")) == set(ALL)
    assert plant.serials() == ["SN-1"]


@VERSIONS
def test_a_file_refused_for_good_is_parked_with_its_run_there_and_can_be_released(
    version: str, plant: Plant, open_window: Callable[[str], Window], durable: str, three: list[str]
) -> None:
    plant.trouble(**STORE, status=413, times=1)
    window = open_window(plant.config(durable, version))
    answer = window.call("create_run", **plant.run("SN-1", attachments=three))
    assert "1 of 3 attachments were not sent" in answer["note"]
    (parked,) = window.call("list_deliveries")["deliveries"]
    assert (parked["state"], parked["run_id"], parked["files_sent"]) == ("parked", answer["run_id"], 2)
    assert parked["delivery_id"] in answer["note"]
    refused = window.answer(window.ask("release_delivery", delivery_id=parked["delivery_id"], serial_number="SN-OTHER"))
    assert "The run is there already" in refused["result"]["content"][0]["text"]
    released = window.call("release_delivery", delivery_id=parked["delivery_id"])
    assert (released["state"], released["run_id"]) == ("delivered", answer["run_id"])
    assert plant.files("SN-1") == ALL
    assert plant.serials() == ["SN-1"]


@VERSIONS
def test_files_of_a_run_deleted_meanwhile_are_parked_and_released_it_is_recorded_anew_with_all_of_them(
    version: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    three: list[str],
    until: Callable[..., Any],
) -> None:
    plant.trouble(**STORE, action="slow", seconds=0, times=1)
    plant.trouble(**STORE, status=503)
    window = open_window(plant.config(durable, version))
    first = window.call("create_run", **plant.run("SN-1", attachments=three))
    plant.delete("SN-1")
    plant.calm()
    (parked,) = until(lambda: window.call("list_deliveries", state="parked")["deliveries"])
    assert "no such" in parked["reason"]
    released = window.call("release_delivery", delivery_id=parked["delivery_id"])
    assert released["state"] == "delivered"
    assert released["run_id"] != first["run_id"]
    assert plant.files("SN-1") == ALL


@VERSIONS
def test_the_files_in_a_report_wait_with_its_run(
    version: str,
    plant: Plant,
    open_window: Callable[[str], Window],
    durable: str,
    folder: Path,
    until: Callable[..., Any],
) -> None:
    (folder / "r.json").write_bytes(OPENHTF.read_bytes())
    plant.trouble(status=429, retry_after="60")
    window = open_window(plant.config(durable, version, answer_within=1))
    answer = window.call("import_report", path="r.json", serial_number="SN-1")
    assert answer["queued"]
    assert "1 attachment is kept and sent with it" in answer["note"]
    window.kill()
    plant.calm()
    window = open_window(plant.config(durable, version))
    until(lambda: window.call("list_deliveries", state="delivered")["deliveries"], seconds=90)
    assert [name for name, _ in plant.files("SN-1")] == ["trace.csv"]
    report = json.loads(OPENHTF.read_bytes())
    assert len(plant.runs("SN-1")[0]["phases"]) == len(report["phases"]) - 1


async def test_what_is_too_much_to_be_kept_is_told_or_sent_at_once(
    plant: Plant,
    connect: Connect,
    ask: ToolCaller,
    durable: str,
    three: list[str],
    monkeypatch: pytest.MonkeyPatch,
    no_backoff: None,
) -> None:
    monkeypatch.setattr("testlab_tools.recording.record.MAX_BYTES", 3)
    async with connect(plant.config(durable)) as client:
        answer = await ask(client, "create_run", **plant.run("SN-UP", attachments=three))
        assert "note" not in answer
        assert plant.files("SN-UP") == ALL
        plant.trouble(action="reset")
        answer = await ask(client, "create_run", **plant.run("SN-DOWN", attachments=three))
        assert "2 attachments are kept and sent with it" in answer["note"]
        assert "Not attached: c.txt (the run is not there yet, and more than 100 files or" in answer["note"]
        (waiting,) = (await ask(client, "list_deliveries", state="waiting"))["deliveries"]
        assert waiting["note"].startswith("1 more attachments were given")


def test_on_postgresql_files_and_reports_wait_in_the_database_too(
    plant: Plant,
    open_window: Callable[[str], Window],
    postgresql: str,
    three: list[str],
    folder: Path,
    until: Callable[..., Any],
) -> None:
    (folder / "lot.stdf").write_bytes(STDF.read_bytes())
    config = plant.config(f"{postgresql}\nanswer_within_seconds = 1\n[files]\nread_from = ['{folder}']")
    plant.trouble(action="reset")
    windows = [open_window(config) for _ in range(2)]
    assert windows[0].call("create_run", **plant.run("SN-1", attachments=three))["queued"]
    assert windows[1].call("import_report", path="lot.stdf")["queued"]
    windows[0].kill()
    plant.calm()
    until(lambda: windows[1].call("list_deliveries")["delivered"] == 2, seconds=60)
    assert plant.files("SN-1") == ALL
    assert (len(plant.runs("SN-0001")), len(plant.runs("SN-0002"))) == (1, 1)
