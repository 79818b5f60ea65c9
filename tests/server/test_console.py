"""What the commands print at terminals of any width, and where there is none."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.server_processes import server_command

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def config(sim: SimLab, tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    path.write_text(sim.config_toml(str(tmp_path)), "utf-8")
    return str(path)


def at_terminal(columns: int, *words: str, **env: str) -> str:
    """What a command prints at a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [*server_command(), *words]
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "xterm-256color", **env}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:
                break
            shown += chunk
        os.close(ours)
    assert process.returncode == 0, shown.decode()
    return shown.decode()


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_of_doctor_is_wider_than_the_terminal(columns: int, config: str) -> None:
    shown = at_terminal(columns, "doctor", "--config", config)
    assert "\x1b[" in shown, "there are colours at a terminal"
    table = [line for line in ESCAPES.sub("", shown).splitlines() if line.startswith("  ")]
    assert max(map(len, table)) <= columns
    assert "portal" in shown


def test_no_color_is_heeded(config: str) -> None:
    assert "\x1b[3" not in at_terminal(100, "doctor", "--config", config, NO_COLOR="1")


def test_what_is_too_wide_for_a_table_is_listed_and_no_id_is_cut(config: str) -> None:
    asked = ("call", "list_runs", "--service", "portal", "--limit", "1", "--config", config)
    narrow, wide = (ESCAPES.sub("", at_terminal(columns, *asked)) for columns in (80, 1000))
    handle = re.search(r"portal:/\S+_\d\d\.\d\d\.\d\d", narrow)
    assert handle
    assert handle[0] in wide
    assert re.search(r"outcome +pass|outcome +fail|outcome +error", narrow)
    assert re.search(r"run_id +outcome", wide)
