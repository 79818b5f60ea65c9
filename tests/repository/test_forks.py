"""The process that others are forks of outlives whoever asks it for one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forks import FORKS

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not FORKS, reason="no process forks here")
@pytest.mark.parametrize("asks", [True, False])
def test_who_has_gone_before_the_answer_takes_no_other_along(asks: bool, tmp_path: Path) -> None:
    (tmp_path / "seven.py").write_text("def prepare():\n    return lambda request: 7\n", encoding="utf-8")
    request = json.dumps({"numbers": [], "folder": str(tmp_path), "environment": {}}).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "asked"))
        listener.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gone:
            gone.connect(str(tmp_path / "asked"))
            if asks:
                gone.send(request)
        command = [sys.executable, "-m", "tests.fork_server", str(listener.fileno()), "seven"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], cwd=ROOT, env=environment
        ) as server:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as waiting:
                waiting.settimeout(30)
                waiting.connect(str(tmp_path / "asked"))
                waiting.send(request)
                answers = [waiting.recv(100), waiting.recv(100)]
            server.communicate()
    assert int(answers[0]) > 0
    assert answers[1] == b"7"
