"""`testlab-mcp init`: from nothing to a config that works and clients that know of it."""

from __future__ import annotations

import io
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from testlab_mcp.commands.main import main
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import load_config
from testlab_tools.services import known_kinds


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without clients, and no commands of any."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


@pytest.fixture
def flags(sim: SimLab, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    portal = sim.services()["stbtester"]
    monkeypatch.setenv("LAB_TOKEN", portal["token"])
    return ["--service", f"portal:stbtester={portal['url']}", "--set", "portal.token_env=LAB_TOKEN"]


def test_flags_make_a_config_that_only_its_user_can_read_and_that_works(
    flags: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "lab" / "config.toml"
    assert main(["init", "--config", str(path), "--access", "observe", *flags]) == 0
    out = capsys.readouterr().out
    assert "portal" in out
    assert '"mcpServers"' in out, "what to paste is printed"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_config(path).server.access == "observe"
    assert main(["doctor", "--config", str(path)]) == 0
    assert sorted(file.name for file in path.parent.iterdir()) == ["config.toml"]


def test_a_place_of_boards_is_named_by_its_coordinator(home: Path) -> None:
    path = home / "config.toml"
    given = ["--service", "rack:labgrid=127.0.0.1:20408", "--no-check"]
    assert main(["init", "--config", str(path), *given]) == 0
    _, settings = load_config(path).services["rack"]
    assert settings.model_dump()["coordinator"] == "127.0.0.1:20408"


def test_a_token_that_is_refused_writes_nothing(
    flags: list[str], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_TOKEN", "wrong")
    path = home / "config.toml"
    assert main(["init", "--config", str(path), *flags]) == 1
    out, err = capsys.readouterr()
    assert "refused" in out
    assert "Nothing was written" in err
    assert not path.exists()
    assert main(["init", "--config", str(path), "--no-check", *flags]) == 0
    assert path.exists()


def test_a_config_that_is_there_stays_unless_told_and_then_a_copy_is_kept(
    flags: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "config.toml"
    path.write_text("# mine\n", "utf-8")
    assert main(["init", "--config", str(path), *flags]) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text("utf-8") == "# mine\n"
    assert main(["init", "--config", str(path), "--force", *flags]) == 0
    (kept,) = home.glob("config.toml.*")
    assert kept.read_text("utf-8") == "# mine\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "no terminal to ask at"),
        (["--service", "portal"], "NAME:KIND=URL"),
        (["--service", "p:stbtestr=http://x"], "Did you mean 'stbtester'?"),
        (["--service", "p:stbtester=http://x", "--set", "q.token=x"], "NAME.KEY=VALUE"),
        (["--service", "p:stbtester=http://x", "--set", "p.tokn=x"], "Did you mean 'token'?"),
        (["--service", "p:stbtester=ftp://x"], "http"),
    ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(
    given: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["init", "--config", str(home / "config.toml"), *given]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (home / "config.toml").exists()


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_asked(
    flags: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "file").write_text("", "utf-8")
    assert main(["init", "--config", str(home / "file" / "config.toml"), *flags]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_clients_are_told_by_their_own_command_or_in_their_file(
    flags: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "bin").mkdir()
    for name in ("claude", "code", "codex"):
        command = home / "bin" / name
        command.write_text(f'#!/bin/sh\necho "$@" >> "{home}/{name}.log"\n', "utf-8")
        command.chmod(0o755)
    cursor = home / ".cursor" / "mcp.json"
    cursor.parent.mkdir()
    cursor.write_text('{"mcpServers": {"other": {"command": "x"}}, "theme": "dark"}', "utf-8")
    named = [word for client in ("claude-code", "vscode", "cursor", "codex") for word in ("--client", client)]
    assert main(["init", "--config", str(home / "config.toml"), *flags, *named]) == 0
    assert f"serve --config {home / 'config.toml'}" in (home / "claude.log").read_text("utf-8").splitlines()[-1]
    assert (home / "codex.log").read_text("utf-8").startswith("mcp add testlab -- ")
    assert "--add-mcp" in (home / "code.log").read_text("utf-8")
    held = json.loads(cursor.read_text("utf-8"))
    assert set(held["mcpServers"]) == {"other", "testlab"}
    assert held["theme"] == "dark"
    assert "theme" in (cursor.parent / "mcp.json.before-testlab").read_text("utf-8")
    assert "restart" in capsys.readouterr().out


def test_a_clients_file_that_is_no_json_is_left_alone(
    flags: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cursor = home / ".cursor" / "mcp.json"
    cursor.parent.mkdir()
    cursor.write_text("// mine\n{}", "utf-8")
    assert main(["init", "--config", str(home / "config.toml"), *flags, "--client", "cursor"]) == 1
    assert "not JSON that can be changed" in capsys.readouterr().err
    assert cursor.read_text("utf-8") == "// mine\n{}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_at_a_terminal_it_asks_and_keeps_a_typed_token_in_a_file(sim: SimLab, home: Path) -> None:
    portal = sim.services()["stbtester"]
    path = home / "config.toml"
    kinds = known_kinds()
    before = kinds.index("stbtester")
    answers = [*[""] * before, portal["url"], "bench", "4", portal["token"], "n", *[""] * (len(kinds) - before - 1)]
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "testlab_mcp", "init", "--config", str(path)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        shown = ""
        for answer in answers:
            while not shown.rstrip().endswith(("]:", ":")):
                shown += os.read(ours, 4096).decode()
            os.write(ours, f"{answer}\n".encode())
            shown = ""
        while True:
            try:
                chunk = os.read(ours, 4096).decode()
            except OSError:
                break
            shown += chunk
    assert process.returncode == 0, shown
    assert portal["token"] not in shown
    (kept,) = home.glob("*.token")
    assert kept.read_text("utf-8") == portal["token"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert set(load_config(path).services) == {"bench"}
