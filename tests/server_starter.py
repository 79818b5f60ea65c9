"""The process that the tests' servers are forks of. It reads requests from the socket that is its standard input: each
starts a command of `testlab-mcp` on the three files sent along, and is answered with the process's id; `reap` answers
with its exit code. The socket's end ends all of them.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
from typing import Any

import testlab_mcp
import testlab_tools

LATE = ("anyio._backends._asyncio", "dbos._sys_db_sqlite", "platformdirs", "sqlalchemy.dialects.sqlite")
"""What others import when it is first used."""
CONFIG = """
[server]
toolsets = ["all"]
[audit]
enabled = false
[durable]
enabled = false
"""


def main() -> None:
    """Answer until the socket ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal it reaches the tests as well, which end this
    _prepare()
    gc.collect()
    gc.freeze()
    asked = socket.socket(fileno=os.dup(0))
    alive: set[int] = set()
    while True:
        message, files, _, _ = socket.recv_fds(asked, 65536, 3)
        if not message:
            break
        request: dict[str, Any] = json.loads(message)
        if "reap" in request:
            _, status = os.waitpid(request["reap"], 0)
            alive.discard(request["reap"])
            asked.sendall(json.dumps(os.waitstatus_to_exitcode(status)).encode())
            continue
        pid = os.fork()
        if not pid:
            asked.close()
            _become(request, files)
        for file in files:
            os.close(file)
        alive.add(pid)
        asked.sendall(json.dumps(pid).encode())
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _prepare() -> None:
    """Import what a server imports in its life, and make what it makes once: the models and schemas of its tools."""
    for package in (testlab_mcp, testlab_tools):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    from testlab_mcp.commands.serve import policy_of
    from testlab_mcp.config.loading import parse_config
    from testlab_mcp.protocol.server import build_server
    from testlab_tools.services import known_kinds

    services = [f"[services.{kind}]\nkind = '{kind}'\nurl = 'http://127.0.0.1'\n" for kind in known_kinds()]
    config = parse_config("".join([CONFIG, *services]))
    build_server(config.lab(), policy_of(config), config.folders())


def _become(request: dict[str, Any], files: list[int]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["testlab-mcp", *request["arguments"]]
    from testlab_mcp.commands.main import main as command

    code = 1
    try:
        code = command()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
