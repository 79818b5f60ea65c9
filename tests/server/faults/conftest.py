"""Fixtures of the fault matrix: one simulated lab for all of it, and what the tools are called with."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import httpx2
import pytest

from testlab_mcp import tool
from testlab_mcp.simlab import SimLab
from testlab_tools.errors import LabError, ServiceError
from testlab_tools.logs import read_log

ONCE = httpx2.Limits(max_keepalive_connections=0)
"""The tests' own connections are closed at once: what stays open is the server's."""
MOST_BYTES = 3 * 2**20
LATER = "2026-11-20T08:00:00Z"
JUNIT = f'<testsuite timestamp="{LATER[:-1]}"><testcase name="a"/></testsuite>'


class Row(NamedTuple):
    """A call of a tool that asks one service."""

    tool: str
    service: str
    arguments: dict[str, Any]


class Held(NamedTuple):
    """What this process holds: open files and connections, and threads besides idle workers."""

    files: frozenset[str]
    threads: frozenset[str]

    def more_than(self, before: Held) -> list[str]:
        """What was not held before."""
        return sorted((self.files - before.files) | (self.threads - before.threads))


class Plant:
    """The simulated lab seen from outside."""

    def __init__(self, sim: SimLab) -> None:
        self._services = sim.services()
        root = self._services["stbtester"]["url"].rpartition("/")[0]
        self.root = root
        self.control = httpx2.Client(base_url=f"{root}/_sim", trust_env=False, limits=ONCE)
        factory = self._services["tofupilot"]
        headers = {"Authorization": f"Bearer {factory['token']}"}
        self._factory = httpx2.Client(
            base_url=f"{factory['url']}/api/v2", headers=headers, trust_env=False, limits=ONCE
        )
        portal = self._services["stbtester"]
        self._portals = {
            who: httpx2.Client(
                base_url=f"{portal['url']}/api/v2",
                headers={"Authorization": f"token {portal[key]}"},
                trust_env=False,
                limits=ONCE,
            )
            for who, key in (("you", "token"), ("colleague", "colleague_token"))
        }
        self.procedure = self._factory.get("/procedures").json()["data"][0]["id"]

    def config(self, root: str, folder: str, timeout_s: float = 2.5) -> str:
        """All services, those of TofuPilot by both versions of its API, at another root: small timeouts, admin."""
        tables = [
            ("portal", "stbtester", ""),
            ("factory", "tofupilot", ""),
            ("old", "tofupilot", 'api_version = "v1"\n'),
            ("cloud", "standcloud", ""),
        ]
        services = "".join(
            f'[services.{name}]\nkind = "{kind}"\nurl = "{root}/{kind}"\ntoken = "{self._services[kind]["token"]}"\n'
            f"timeout_seconds = {timeout_s}\nmax_concurrency = 64\n{more}"
            for name, kind, more in tables
        )
        rights = (
            '[server]\naccess = "admin"\ntoolsets = ["all"]\n[durable]\nenabled = false\n[audit]\nenabled = false\n'
        )
        return f"{rights}[files]\nsave_to = ['{folder}']\n{services}"

    @property
    def tokens(self) -> list[str]:
        return [service["token"] for service in self._services.values()]

    def disturb(self, lane: str, **fault: object) -> None:
        """Have a fault strike every request of a lane."""
        answer = self.control.post("/faults", json={"lane": lane, "times": 0, **fault})
        assert answer.status_code == 201, answer.text

    def calm(self, lane: str) -> None:
        """End the faults of a lane."""
        self.control.delete("/faults", params={"lane": lane})

    def record(self, serial: str) -> str:
        """A run recorded past the server; its id."""
        body = {"procedure_id": self.procedure, "outcome": "PASS", "serial_number": serial, "part_number": "UT"}
        body |= {"started_at": "2026-11-20T08:00:00Z", "ended_at": "2026-11-20T08:01:00Z"}
        return self._factory.post("/runs", json=body).raise_for_status().json()["id"]

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes as the portal tells them."""
        return self._portals["you"].get("/nodes").json()

    def reserve(self, who: str, node: str) -> str:
        """Reserve a node past the server; the reservation's id."""
        made = self._portals[who].post("/reservations", json={"node_ids": [node], "message": "m", "duration_secs": 600})
        return str(made.raise_for_status().json()["reservations"][0]["reservation_id"])

    def occupy(self, node: str, case: str) -> str:
        """Start a job without an end; its uid."""
        order = {"node_id": node, "test_pack_revision": "main", "test_cases": [case], "soak": "run forever"}
        return self._portals["you"].post("/run_tests", json=order).raise_for_status().json()["job_uid"]

    def clear(self) -> None:
        """End all reservations and jobs."""
        for node in self.nodes():
            held, job = node["reservation"], node["job"]
            if job and job["status"] != "exited":
                self._portals["colleague" if held and not held["reserved_by_you"] else "you"].put(
                    f"/nodes/{node['node_id']}/job/stop"
                )
            if held:
                who = "you" if held["reserved_by_you"] else "colleague"
                self._portals[who].delete(f"/reservations/{held['reservation_id']}")

    def open_requests(self) -> int:
        """How many requests the lab is answering now."""
        return self.control.get("/requests").json()["open"]

    def close(self) -> None:
        self.control.close()
        self._factory.close()
        for portal in self._portals.values():
            portal.close()


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    """One simulated lab for the whole matrix."""
    with SimLab() as sim:
        made = Plant(sim)
        yield made
        made.close()


@pytest.fixture
def rows_for(plant: Plant) -> Callable[[Any, str], Awaitable[list[Row]]]:
    """A call of every tool, of every service that has it, about things that are there; ask with a client of a calm
    lab. Nodes, reservations and jobs are as new."""

    async def rows(client: Any, name: str) -> list[Row]:
        await asyncio.to_thread(plant.clear)
        newest = {service: await _newest(client, service=service, outcome="fail") for service in ("portal", "factory")}
        newest["cloud"] = await _newest(client, service="cloud", outcome="fail")
        theirs = await client.call_tool("get_run", {"run_id": newest["cloud"]})
        serial = f"SN-{name}"
        await asyncio.to_thread(plant.record, serial)
        newest["old"] = await _newest(client, service="old", unit=serial)
        return [
            *(await _of_portal(client, plant, name, newest["portal"])),
            *_of_runs(newest, {"factory": serial, "old": serial, "cloud": theirs.structured_content["run"]["unit"]}),
            *[row for service in ("factory", "old") for row in await _of_production(client, plant, service, serial)],
        ]

    return rows


async def _newest(client: Any, **asked: str) -> str:
    listed = await client.call_tool("list_runs", {**asked, "limit": 1})
    return listed.structured_content["runs"][0]["run_id"]


async def _of_portal(client: Any, plant: Plant, name: str, run: str) -> list[Row]:
    cases = await client.call_tool("list_test_cases", {"revision": "main"})
    case = cases.structured_content["test_cases"][0]
    files = (await client.call_tool("get_artifact", {"run_id": run})).structured_content["artifacts"]
    small = min(files, key=lambda file: file.get("size", 0))["name"]
    free = [node["node_id"] for node in plant.nodes() if node["available"]]
    mine, ending, theirs = (
        plant.reserve("you", free[0]),
        plant.reserve("you", free[1]),
        plant.reserve("colleague", free[2]),
    )
    job, busy = plant.occupy(free[3], case), free[3]
    order = {"node_id": free[4], "test_pack_revision": "main", "test_cases": [case]}
    interrupt = {"reservation_id": f"portal:{theirs}", "message": "m", "confirm": f"portal:{free[2]}"}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("triage", {"service": "portal"}),
        ("explain_failure", {"run_id": run}),
        ("read_log", {"run_id": run}),
        ("get_artifact", {"run_id": run}),
        ("get_artifact", {"run_id": run, "name": small, "save_to": f"{name}.part"}),
        ("export_runs", {"save_to": f"{name}.csv", "since": "24h", "service": "portal"}),
        ("list_nodes", {}),
        ("list_nodes", {"node_ids": [free[0]], "detail": True}),
        ("grab_screenshot", {"node_id": free[0]}),
        ("grab_screenshot", {"run_id": run}),
        ("reserve_nodes", {"node_ids": [free[5]], "message": "m", "duration_minutes": 1}),
        ("extend_reservation", {"reservation_id": mine, "minutes": 1}),
        ("end_reservation", {"reservation_id": ending}),
        ("interrupt_reservation", interrupt),
        ("press_key", {"node_id": free[0], "key": "KEY_OK"}),
        ("list_test_cases", {"revision": "main"}),
        ("run_tests", order),
        ("get_job", {"job_uid": job}),
        ("get_job", {"job_uid": job, "wait_seconds": 1}),
        ("get_job", {"node_id": busy}),
        ("stop_job", {"job_uid": job, "confirm": f"portal:{job}"}),
    ]
    return [Row(tool, "portal", arguments) for tool, arguments in calls]


def _of_runs(newest: dict[str, str], units: dict[str, str]) -> list[Row]:
    rows = [Row("read_log", "factory", {"run_id": newest["factory"]}), Row("list_catalog", "factory", {})]
    rows += [Row("triage", service, {"service": service}) for service in ("factory", "cloud")]
    rows += [Row("explain_failure", service, {"run_id": newest[service]}) for service in ("factory", "cloud")]
    for service, run in newest.items():
        named = {"service": service} | ({"unit": units[service]} if service in ("old", "cloud") else {})
        rows += [Row("list_runs", service, named), Row("get_run", service, {"run_id": run})]
        rows += [Row("get_failed_cases", service, {"run_id": run})]
        if service in units:
            rows.append(Row("get_unit", service, {"serial_number": units[service], "service": service}))
    return rows


async def _of_production(client: Any, plant: Plant, service: str, part: str) -> list[Row]:
    unit = f"{part}-{service}"
    run, known = await asyncio.to_thread(plant.record, unit), {"serial_number": unit, "service": service}
    handle = f"factory:{run}" if service == "factory" else await _newest(client, service=service, unit=unit)
    new = {"serial_number": f"{unit}-new", "procedure_id": plant.procedure, "part_number": "UT", "service": service}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("create_run", {**new, "outcome": "pass", "started_at": LATER}),
        ("import_report", {**new, "content": JUNIT}),
        ("update_unit", {**known, "sub_units": [part]}),
        ("delete_run", {"run_id": handle, "confirm": handle}),
        ("delete_unit", {**known, "confirm": unit}),
    ]
    return [Row(tool, service, arguments) for tool, arguments in calls]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bound as it is, but short: no pauses between tries, a second for a stop, a small largest body."""
    monkeypatch.setattr("testlab_tools.http.retry.RetryPolicy.backoff", lambda self, attempt: 0.0)
    monkeypatch.setattr("testlab_tools.http.client.MAX_BODY_BYTES", MOST_BYTES)
    monkeypatch.setattr("testlab_tools.tofupilot.creation.LOOKS", (0.0, 0.0))
    monkeypatch.setattr("testlab_tools.stbtester.jobs.LOST_PAUSE_S", 0.0)
    monkeypatch.setattr("testlab_tools.catalog.jobs.STOP_SECONDS", 1.0)
    monkeypatch.setattr("testlab_tools.catalog.files.read", partial(read_log, seconds=1.0))


@pytest.fixture
def classed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have failures tell, beside their text, of which class they are and whether they name a next step."""
    plainly = tool.error_result

    def tell(tool: str, error: LabError) -> Any:
        result = plainly(tool, error)
        service = error.service if isinstance(error, ServiceError) else ""
        named = next(c.__name__ for c in type(error).__mro__ if c.__module__ == LabError.__module__)
        result.meta = {"class": named, "next": error.next_step, "what": error.what, "service": service}
        return result

    monkeypatch.setattr(tool, "error_result", tell)


def _open_files() -> Iterator[str]:
    """What is open, but for the event loop's own; sockets have names of their own."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing itself
            yield os.readlink(f"/proc/self/fd/{number}")


@pytest.fixture
def held() -> Callable[[], Held]:
    """What this process holds now."""

    def count() -> Held:
        gc.collect()
        workers = ("AnyIO worker", "asyncio_")
        threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith(workers)]
        return Held(frozenset(_open_files()), frozenset(threads))

    return count
