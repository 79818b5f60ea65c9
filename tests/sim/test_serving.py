from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from testlab_sim.__main__ import main


@pytest.fixture
def launch(tmp_path):
    """Starts the lab as its own process; gives it, what its ready file says, and how long it took."""
    started: list[subprocess.Popen[str]] = []

    def run(*args: str) -> tuple[subprocess.Popen[str], dict, float]:
        ready = tmp_path / f"ready{len(started)}.json"
        command = [sys.executable, "-m", "testlab_sim", "--ready-file", str(ready), *args]
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        started.append(process)
        while not ready.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() - began < 10
            time.sleep(0.005)
        took = time.monotonic() - began
        assert stat.S_IMODE(ready.stat().st_mode) == 0o600
        return process, json.loads(ready.read_text(encoding="utf-8")), took

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait(10)


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def get(service: dict, path: str, **params: str) -> httpx2.Response:
    headers = {"Authorization": f"token {service['token']}"}
    return httpx2.get(service["url"] + path, headers=headers, params=params)


def test_the_lab_is_up_within_a_second_and_small(launch):
    process, lab, took = launch()
    portal = lab["services"]["stbtester"]
    assert get(portal, "/api/v2/user").json()["login"] == "you"
    assert len(get(portal, "/api/v2/results").json()) == 2000
    node = next(n for n in get(portal, "/api/v2/nodes").json() if n["available"])
    assert get(portal, f"/api/v2/nodes/{node['node_id']}/screenshot.png").status_code == 200
    assert took < 2
    assert resident_megabytes(process.pid) < 250


def test_the_ready_file_names_each_service_with_a_token_that_opens_it(launch):
    _, lab, _ = launch("--seed", "11", "--speed", "500")
    assert set(lab["services"]) == {"stbtester", "tofupilot", "standcloud", "hardpy"}
    for name, service in lab["services"].items():
        assert service["url"] == f"{lab['url']}/{name}"
        assert service["token"]
    colleague = {**lab["services"]["stbtester"], "token": lab["services"]["stbtester"]["colleague_token"]}
    assert get(colleague, "/api/v2/user").json()["login"] == "colleague"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly_even_while_somebody_waits(launch, signum):
    process, lab, _ = launch()
    portal = lab["services"]["stbtester"]
    busy = next(n for n in get(portal, "/api/v2/nodes").json() if n["job"] and n["job"]["status"] == "running")
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(
            f"{portal['url']}/api/v2/jobs{busy['job']['job_uid']}/await_completion",
            headers={"Authorization": f"token {portal['token']}"},
            timeout=0.2,
        )
    process.send_signal(signum)
    assert process.wait(3) == 0


def test_the_end_of_standard_input_ends_it_if_asked_to(launch):
    process, _, _ = launch("--exit-with-stdin")
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(3) == 0


def test_standard_error_says_where_things_are(launch):
    process, lab, _ = launch("--exit-with-stdin")
    _, said = process.communicate(timeout=5)
    assert all(service["url"] in said and service["token"] in said for service in lab["services"].values())
    assert "Traceback" not in said


def test_a_port_in_use_is_one_line_and_exit_code_2(launch, capsys):
    _, lab, _ = launch()
    assert main(["--port", lab["url"].rpartition(":")[2]]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_listens_on_this_machine_alone(launch):
    process, lab, _ = launch()
    port = int(lab["url"].rpartition(":")[2])
    lines = Path(f"/proc/{process.pid}/net/tcp").read_text(encoding="utf-8").splitlines()
    local = [line.split()[1] for line in lines if f":{port:04X}" in line.split()[1]]
    assert {address.split(":")[0] for address in local} == {"0100007F"}


def test_the_ready_file_is_never_half_written(launch, tmp_path):
    launch()
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


def test_an_early_lab_says_where_it_is_before_it_is_built(tmp_path):
    """Who connects meanwhile waits, as connections are accepted from then on."""
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-X", "importtime", "-m", "testlab_sim", "--ready-file", str(ready), "--exit-with-stdin"]
    done = subprocess.run([*command, "--early"], input="", capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr.index("Simulated test lab at") < done.stderr.index("testlab_sim.app")
    assert json.loads(ready.read_text(encoding="utf-8"))["services"]
