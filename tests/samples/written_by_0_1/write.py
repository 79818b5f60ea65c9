"""Write these samples anew with the testlab-mcp of commit 327abc7.

git worktree add ../old 327abc7
cd ../old && PYTHONPATH=server:tools python …/write.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
PORT = 18327
"""A reservation and a sign-in are of one URL."""
BASE = f"http://127.0.0.1:{PORT}"
TIMES = {"started_at": "2001-01-01T00:00:00Z", "ended_at": "2001-01-01T00:01:00Z"}
CONFIG = """
[server]
toolsets = ["all"]
release_on_exit = false
[files]
read_from = ["."]
[durable]
path = "deliveries.sqlite"
longest_pause_seconds = 2
answer_within_seconds = 20
[audit]
file = "audit.jsonl"
[services.factory]
kind = "tofupilot"
url = "{base}/tofupilot"
token = "{token}"
[services.portal]
kind = "stbtester"
url = "{base}/stbtester"
token = "{token}"
[services.cloud]
kind = "standcloud"
url = "{base}/standcloud"
auth = "login"
"""
ROTATE = (
    "from pathlib import Path; from testlab_mcp.audit.trail import FileTrail; "
    "FileTrail(Path('audit.jsonl').absolute(), 1).append("
    "{'event': 'outcome', 'call': 'last', 'tool': 'press_key', 'outcome': 'ok'})"
)


class Server:
    """`testlab-mcp serve` of the version on PYTHONPATH, over stdio."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "testlab_mcp", "serve", "--config", "config.toml"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._asked = 0
        client = {"name": "sample", "version": "1"}
        self._ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self._send({"method": "notifications/initialized"})

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        result: dict[str, Any] = self._ask("tools/call", {"name": tool, "arguments": arguments})["result"]
        return result["structuredContent"]

    def close(self) -> None:
        self.process.communicate(timeout=10)

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        assert self.process.stdout
        for line in self.process.stdout:
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == self._asked:
                return message
        raise RuntimeError("the server ended")

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()


@contextmanager
def simulated_lab(folder: Path) -> Iterator[dict[str, Any]]:
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "testlab_sim", "--port", str(PORT), "--ready-file", str(ready)]
    with subprocess.Popen([*command, "--exit-with-stdin"], stdin=subprocess.PIPE) as process:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.1)
        yield json.loads(ready.read_text())["services"]
        process.terminate()


def fault(**fault: object) -> None:
    body = json.dumps({"service": "tofupilot", **fault}).encode()
    urlopen(Request(f"{BASE}/_sim/faults", body, {"Content-Type": "application/json"})).close()


def sign_in() -> None:
    command = [sys.executable, "-m", "testlab_mcp", "login", "cloud", "--config", "config.toml"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        printed = ""
        while "Waiting" not in printed:
            printed += process.stdout.readline()
        page = re.search(r"http://\S+", printed)
        assert page
        urlopen(page[0]).close()
        process.communicate()


def write(token: str, portal: str) -> None:
    Path("config.toml").write_text(CONFIG.format(base=BASE, token=token))
    with urlopen(Request(f"{portal}/api/v2/nodes", headers={"Authorization": f"token {token}"})) as reply:
        node = next(node["node_id"] for node in json.load(reply) if node["available"])
    procedures = Request(f"{BASE}/tofupilot/api/v2/procedures?limit=1", headers={"Authorization": f"Bearer {token}"})
    with urlopen(procedures) as reply:
        procedure = json.load(reply)["data"][0]["id"]

    def run(serial: str) -> dict[str, Any]:
        unit = {"procedure_id": procedure, "part_number": "P", "serial_number": serial}
        return {**unit, "outcome": "pass", **TIMES, "attachments": ["log.txt"]}

    server = Server()
    server.call("create_run", **run("SN-DELIVERED"))
    fault(method="POST", path_prefix="/api/v2/runs", action="status", status=422, times=1)
    server.call("create_run", **run("SN-PARKED"))
    fault(method="POST", path_prefix="/api/v2/imports/", action="status", status=422, times=1)
    server.call("import_report", path="two_parts.stdf")
    server.call("reserve_nodes", node_ids=[node], message="soak", duration_minutes=5)
    fault(action="status", status=503, times=0)
    server.close()
    subprocess.run([sys.executable, "-c", ROTATE], check=True)
    server = Server()
    server.call("create_run", **run("SN-WAITING"))
    while server.call("list_deliveries", state="waiting")["deliveries"][0]["state"] != "queued":
        time.sleep(0.1)
    server.process.kill()
    sign_in()


def main() -> None:
    stdf = HERE.parent / "stdf" / "two_parts.stdf"
    os.environ["PYTHONPATH"] = os.pathsep.join(
        str(Path(p).resolve()) for p in os.environ["PYTHONPATH"].split(os.pathsep)
    )
    with tempfile.TemporaryDirectory() as made, simulated_lab(Path(made)) as services:
        os.chdir(made)
        os.environ.update(HOME=made, XDG_DATA_HOME="data", PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring")
        shutil.copy(stdf, "two_parts.stdf")
        Path("log.txt").write_text("what the station said\n")
        write(services["tofupilot"]["token"], services["stbtester"]["url"])
        with closing(sqlite3.connect("deliveries.sqlite")) as connection:
            dump = "\n".join(connection.iterdump())
        (HERE / "deliveries.sql").write_text(dump + "\n")
        for path in [*Path().glob("audit*"), *Path().rglob("*.reservations/*.json"), *Path().rglob("sign-in/*.json")]:
            folder = HERE / path.parent.name
            folder.mkdir(exist_ok=True)
            shutil.copyfile(path, folder / path.name)


if __name__ == "__main__":
    main()
