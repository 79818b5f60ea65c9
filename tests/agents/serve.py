"""`python -m tests.agents.serve FOLDER`: the lab of a trial and a server in front of it, until it is told to stop.

`FOLDER/agent` has what the agent under trial may see: its task, the questions, and a command that calls the server.
`FOLDER/truth.json` has the right answers. The server's address is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile

import httpx2
from mcp import Client

from testlab_sim.app import create_app, create_world
from testlab_sim.listening import HOST, listen
from testlab_sim.serving import LabServer
from testlab_sim.stbtester.nodes import BUSY
from testlab_sim.world import COLLEAGUE, YOU, World
from tests.agents.questions import all_questions
from tests.agents.truth import ENDLESS, ENDLESS_REASON, REPORT, WAITING_SERIAL, Answer, answers
from tests.service_samples import SERVICE_SAMPLES

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples"
TASK = """You are an engineer's assistant in a test lab. An MCP server stands in front of the lab's services.

Answer the questions in questions.json, and write answers.json beside it: an object from each question's number to your
answer, a text. Where a question says how to answer, do so. Be short, and say so if something cannot be found out.

You reach the server by one command, and use nothing else: no other file, no other program to find an answer.

    ./call --list                                              what the server says of itself, and its tools
    ./call --question 7 TOOL '{"argument": "value"}'           a call, for question 7

Each call is counted, and so is what it prints. Nobody is there to be asked: where the server wants a person to agree,
you may.
"""
KINDS = {"portal": "stbtester", "factory": "tofupilot", "old": "tofupilot", "cloud": "standcloud"}


@dataclass
class Trial:
    """A server at `url`, the lab behind it, and the right answers."""

    url: str
    world: World = field(repr=False)
    truth: Mapping[str, Answer] = field(repr=False)


@contextmanager
def opened() -> Iterator[Trial]:
    """The lab of a trial, as its questions need it, and a server over HTTP in front of it."""
    with tempfile.TemporaryDirectory(prefix="testlab-trial-") as name, _lab() as world:
        folder = Path(name)
        for sub in ("saved", "reports"):
            (folder / sub).mkdir()
        copyfile(SAMPLES / "openhtf_lot" / REPORT, folder / "reports" / REPORT)
        (folder / "config.toml").write_text(_config(world.base_url, folder), encoding="utf-8")
        with _server(folder / "config.toml") as url:
            before = world.clock.now()
            asyncio.run(_leave_waiting(url))
            yield Trial(url, world, answers(world, (before, world.clock.now())))


@contextmanager
def _lab() -> Iterator[World]:
    """The simulated lab in this process, where its objects can be read."""
    with listen() as listener:
        world = create_world()
        world.base_url = f"http://{HOST}:{listener.getsockname()[1]}"
        plant(world)
        ready = threading.Event()
        server = LabServer(create_app(world), ready.set)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        ready.wait()
        _fault(world.base_url, service="tofupilot", method="POST", path_prefix="/api/v1/runs", status=503, times=0)
        try:
            yield world
        finally:
            server.should_exit = True
            thread.join()


def plant(world: World) -> None:
    """What the lab has besides its history: a reservation without an end, and a look at the node where a job runs."""
    portal, now = world.portal, world.clock.now()
    portal.reservations.make([portal.named(ENDLESS).node_id], COLLEAGUE.login, ENDLESS_REASON, now - 7200, None)
    portal.named(BUSY).used(YOU.login, now - 240)


def _fault(base_url: str, **fault: object) -> None:
    httpx2.post(f"{base_url}/_sim/faults", json=fault).raise_for_status()


def _config(lab: str, folder: Path) -> str:
    """All four services; deliveries are on and nothing outlives the trial."""
    tables = [
        '[server]\ntoolsets = ["all"]\n',
        f'[files]\nsave_to = ["{folder.as_posix()}/saved"]\nread_from = ["{folder.as_posix()}/reports"]\n',
        f'[durable]\npath = "{folder.as_posix()}/deliveries.sqlite"\n',
        "[audit]\nenabled = false\n",
    ]
    for service, kind in KINDS.items():
        tables.append(SERVICE_SAMPLES[service].table(f"{lab}/{kind}", token=YOU.token))
    return "\n".join(tables)


@contextmanager
def _server(config: Path) -> Iterator[str]:
    """`testlab-mcp serve` as a process of its own; its address."""
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--config", str(config), "--http", f"{HOST}:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stderr
        first = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/mcp", first)
        if not found:
            process.kill()
            raise RuntimeError(f"the server did not start: {first}{process.stderr.read()}")
        rest = threading.Thread(target=process.stderr.read, daemon=True)  # so that its pipe never fills
        rest.start()
        try:
            yield found[0]
        finally:
            process.terminate()
            process.wait()
            rest.join()


async def _leave_waiting(url: str) -> None:
    """A run on its way to the factory's old API, which takes none."""
    run = {"procedure_id": "FVT1", "serial_number": WAITING_SERIAL, "part_number": "STB-4K", "outcome": "pass"}
    async with Client(url) as client:
        told = await client.call_tool("create_run", {**run, "service": "old"})
        assert not told.is_error, told.content


def write_folder(trial: Trial, folder: Path) -> None:
    """What the agent gets, in a folder of its own, and beside it the right answers."""
    theirs = folder / "agent"
    theirs.mkdir(parents=True)
    asked = {question.number: question.text(trial.truth[question.name].asked) for question in all_questions()}
    facts = {question.number: trial.truth[question.name].facts for question in all_questions()}
    for file, told in ((theirs / "questions.json", asked), (folder / "truth.json", facts)):
        file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (theirs / "TASK.md").write_text(TASK, encoding="utf-8")
    command = [sys.executable, "-m", "tests.agents.call", trial.url, "--log", str((folder / "calls.jsonl").resolve())]
    script = f'#!/bin/sh\ncd {shlex.quote(str(ROOT))} && exec {shlex.join(command)} "$@"\n'
    (theirs / "call").write_text(script, encoding="utf-8")
    (theirs / "call").chmod(0o755)


def _wait_for_a_signal() -> None:
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    told.wait()


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser("tests.agents.serve", description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder for the trial")
    folder: Path = parser.parse_args().folder
    with opened() as trial:
        write_folder(trial, folder)
        sys.stdout.write(f"{trial.url}\n")
        sys.stdout.flush()
        _wait_for_a_signal()
    return 0


if __name__ == "__main__":
    sys.exit(main())
