"""What 0.1 wrote on disk is read by the present version; tests/samples/written_by_0_1/write.py made it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from testlab_mcp.audit.chain import FileSink
from testlab_mcp.commands.main import main
from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window

SAMPLES = Path(__file__).parents[2] / "samples" / "written_by_0_1"
PORT = 18327
"""The reservation and the sign-in are of services at this port."""
TOKEN = "sim-token-you"


def table(name: str, kind: str, more: str) -> str:
    return f"[services.{name}]\nkind = '{kind}'\nurl = 'http://127.0.0.1:{PORT}/{kind}'\n{more}\n"


@pytest.fixture
def written(tmp_path: Path) -> None:
    """The deliveries' database; what has ended has ended just now, as it is kept for a week."""
    with closing(sqlite3.connect(tmp_path / "deliveries.sqlite")) as connection:
        connection.executescript((SAMPLES / "deliveries.sql").read_text(encoding="utf-8"))
        now_ms = int(time.time() * 1000)
        connection.execute("UPDATE workflow_status SET completed_at = ? WHERE completed_at NOT NULL", (now_ms,))
        connection.commit()


def test_each_delivery_is_listed_and_the_one_that_waited_arrives_with_its_file(
    written: None, plant: Plant, open_window: Callable[[str], Window], sqlite: str, until: Callable[..., Any]
) -> None:
    plant.trouble(action="status", status=503)
    window = open_window(plant.config(sqlite))
    listed = window.call("list_deliveries")
    assert {(one["state"], one.get("unit") or one["file"]) for one in listed["deliveries"]} in (
        {(state, "SN-WAITING"), ("parked", "two_parts.stdf"), ("parked", "SN-PARKED"), ("delivered", "SN-DELIVERED")}
        for state in ("queued", "sending")
    )
    assert (listed["waiting"], listed["parked"], listed["delivered"]) == (1, 2, 1)
    plant.calm()
    until(lambda: window.call("list_deliveries")["waiting"] == 0)
    assert plant.serials() == ["SN-WAITING"]
    assert plant.files("SN-WAITING") == [("log.txt", 22)]


def test_a_parked_run_and_a_parked_report_are_released(
    written: None, plant: Plant, open_window: Callable[[str], Window], sqlite: str
) -> None:
    window = open_window(plant.config(sqlite))
    parked = {one["kind"]: one for one in window.call("list_deliveries", state="parked")["deliveries"]}
    assert all("HTTP 422" in one["reason"] for one in parked.values())
    run = window.call("release_delivery", delivery_id=parked["run"]["delivery_id"], serial_number="SN-MENDED")
    assert (run["state"], run["unit"], run["files_sent"]) == ("delivered", "SN-MENDED", 1)
    report = window.call("release_delivery", delivery_id=parked["report"]["delivery_id"])
    assert (report["state"], len(report["run_ids"])) == ("delivered", 2)
    assert (len(plant.runs("SN-0001")), len(plant.runs("SN-0002"))) == (1, 1)


def test_the_audit_is_whole_and_new_lines_go_on_from_its_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in SAMPLES.glob("audit*"):
        shutil.copy(path, tmp_path)
    audit = tmp_path / "audit.jsonl"
    assert main(["audit", "verify", str(audit)]) == 0
    assert "11 lines" in capsys.readouterr().out
    FileSink(audit, 2**30).append({"event": "outcome", "call": "new", "tool": "press_key", "outcome": "ok"})
    assert json.loads(audit.read_text(encoding="ascii").splitlines()[-1])["seq"] == 12
    assert main(["audit", "verify", str(audit)]) == 0
    assert "12 lines" in capsys.readouterr().out


def test_the_sign_in_is_known_and_can_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from testlab_mcp.config.loading import load_config
    from testlab_tools.signin.session import TokenStore

    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    config = tmp_path / "config.toml"
    config.write_text(table("cloud", "standcloud", "auth = 'login'"), encoding="utf-8")
    (_, settings) = load_config(config).services["cloud"]
    provider = settings.sign_in("cloud")
    assert provider is not None
    store = TokenStore(provider)
    shutil.copytree(SAMPLES / "sign-in", store.folder)
    store.folder.chmod(0o700)
    store.path.chmod(0o600)
    tokens = store.load()
    assert tokens is not None
    assert tokens.access_token.get_secret_value().startswith("sim-access-")
    assert tokens.refresh_token.get_secret_value().startswith("sim-refresh-")
    assert tokens.expires_at == 1795951058.8643706
    assert main(["logout", "cloud", "--config", str(config)]) == 0
    assert "Signed out of cloud" in capsys.readouterr().out


@pytest.fixture
def portal() -> Iterator[httpx2.Client]:
    """A simulated portal at the URL that the reservation is of."""
    command = [sys.executable, "-m", "testlab_sim", "--port", str(PORT), "--exit-with-stdin"]
    url, headers = f"http://127.0.0.1:{PORT}/stbtester/api/v2", {"Authorization": f"token {TOKEN}"}
    deadline = time.monotonic() + 30
    while True:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            if "Simulated" in process.stderr.readline():
                with httpx2.Client(base_url=url, headers=headers, trust_env=False) as client:
                    yield client
                process.kill()
                return
        assert time.monotonic() < deadline, f"another program listens on port {PORT}"
        time.sleep(0.5)


async def test_a_reservation_that_was_kept_is_taken_up(
    portal: httpx2.Client, spawn: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    folder = tmp_path / "deliveries.sqlite.reservations"
    shutil.copytree(SAMPLES / folder.name, folder)
    (file,) = folder.iterdir()
    if os.name == "posix":
        file.chmod(0o600)
    claim = json.loads(file.read_text(encoding="utf-8"))
    body = {"node_ids": [claim["node"]], "message": "soak", "duration_secs": 600}
    (made,) = portal.post("/reservations", json=body).raise_for_status().json()["reservations"]
    assert str(made["reservation_id"]) == claim["reservation"]
    keeps = "[server]\nrelease_on_exit = false\n"
    async with spawn(keeps + table("portal", "stbtester", f"token = '{TOKEN}'")) as client:
        ended = await ask(client, "end_reservation", reservation_id=f"portal:{claim['reservation']}")
    assert ended["ended"]
    assert not list(folder.iterdir())
