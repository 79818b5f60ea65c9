"""A url that leads elsewhere: what answers there is never read as "nothing there", in any read of any adapter.

One table: every read of every service, against everything that another server, a proxy or another path may say.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from typing import Any, NamedTuple

import pytest

from testlab_mcp.commands.doctor import examine
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import parse_config
from testlab_sim import SERVICES
from testlab_tools.services import HttpServiceSettings, known_kinds, load_kind
from tests.fixture_types import Connect

KINDS = {
    "portal": 'kind = "stbtester"',
    "factory": 'kind = "tofupilot"',
    "legacy": 'kind = "tofupilot"\napi_version = "v1"',
    "cloud": 'kind = "standcloud"',
    "stand": 'kind = "standcloud"\napi = "hardpy"',
    "bench": 'kind = "hardpy"',
}
UUID = "0196434d-e8f7-7ce1-81f7-e16f20487494"
RESULT = "/stb-tester-00044b80f101/0a21/90/2026-11-20_08.00.00"
JOB = "/stb-tester-00044b80f101/0a21/90"


LIST = frozenset({"list"})
"""An empty list."""
TABLE = frozenset({"object", "host"})
"""A run without files, or with one of any name."""
TEXT = frozenset({"error", "detail", "framework", "host", "gateway", "bucket", "text", "empty", "object", "list"})
"""Any text is a log."""


class Read(NamedTuple):
    """A tool and its arguments; `good`: bodies of `BODIES` that are good answers to it, whoever gives them."""

    tool: str
    arguments: dict[str, Any]
    good: frozenset[str] = frozenset()


def runs(handle: str) -> list[Read]:
    return [Read(tool, {"run_id": handle}) for tool in ("get_run", "get_failed_cases", "explain_failure")]


CLOUD = [
    Read("list_runs", {}, good=LIST),
    Read("list_runs", {"unit": "SN-1"}, good=LIST),
    Read("list_runs", {"filter": "status=fail", "limit": 200}, good=LIST),
    Read("triage", {}, good=LIST),
    Read("get_unit", {"serial_number": "SN-1"}, good=LIST),
]
READS: dict[str, list[Read]] = {
    "cloud": CLOUD + runs(f"cloud:{UUID}"),
    "stand": CLOUD + runs(f"stand:{UUID}"),
    "factory": [
        Read("list_runs", {}),
        Read("list_runs", {"unit": "SN-1"}),
        Read("list_runs", {"test": "FVT"}),
        Read("list_runs", {"station": "FVT-1"}),
        Read("triage", {}),
        Read("get_unit", {"serial_number": "SN-1"}),
        *runs(f"factory:{UUID}"),
        Read("read_log", {"run_id": f"factory:{UUID}"}),
        *(Read("list_catalog", {"kind": kind}) for kind in ("procedures", "parts", "batches", "stations")),
    ],
    "legacy": [
        Read("list_runs", {"unit": "SN-1"}, good=LIST),
        Read("get_unit", {"serial_number": "SN-1"}, good=LIST),
        *(read._replace(good=LIST) for read in runs(f"legacy:SN-1/{UUID}")),
    ],
    "bench": [
        Read("list_runs", {}),
        Read("triage", {}),
        Read("get_unit", {"serial_number": "SN-1"}),
        *runs("bench:1795230917000"),
        Read("get_job", {"job_uid": "bench:1795230917"}),
        Read("get_job", {"node_id": "bench:bench"}),
        Read("list_nodes", {}),
        Read("list_test_cases", {"revision": "current"}),
    ],
    "portal": [
        Read("list_runs", {}, good=LIST),
        Read("list_runs", {"station": "stb-tester-00044b80f101"}, good=LIST),
        Read("triage", {}, good=LIST),
        *runs(f"portal:{RESULT}"),
        Read("get_failed_cases", {"run_id": f"portal:{JOB}"}),
        Read("get_job", {"job_uid": f"portal:{JOB}"}),
        Read("read_log", {"run_id": f"portal:{RESULT}"}, good=TEXT),
        Read("get_artifact", {"run_id": f"portal:{RESULT}", "name": "stbt.log"}, good=TABLE),
        Read("list_nodes", {}, good=LIST),
        Read("list_nodes", {"node_ids": ["stb-tester-00044b80f101"]}),
        Read("list_test_cases", {"revision": "main"}, good=LIST),
        Read("export_runs", {"save_to": "runs.csv"}, good=LIST),
        Read("export_runs", {"save_to": "runs.xml", "format": "junit"}, good=LIST),
        Read("grab_screenshot", {"run_id": f"portal:{RESULT}"}),
        Read("grab_screenshot", {"node_id": "stb-tester-00044b80f101"}),
    ],
}
PAGE = b"<!doctype html><html><title>404 Not Found</title><body>nginx</body></html>"
BODIES: dict[str, tuple[bytes, str]] = {
    "error": (b'{"error":"Not Found"}', "application/json"),
    "detail": (b'{"detail":"Not Found"}', "application/json"),
    "framework": (json.dumps({"timestamp": 1, "status": 404, "error": "Not Found", "path": "/"}).encode(), "json"),
    "host": (b'{"error":{"code":"404","message":"The page could not be found"}}', "application/json"),
    "gateway": (b'{"message":"no Route matched with those values"}', "application/json"),
    "bucket": (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "application/xml"),
    "page": (PAGE, "text/html; charset=utf-8"),
    "text": (b"404 page not found\n", "text/plain"),
    "empty": (b"", ""),
    "object": (b"{}", "application/json"),
    "list": (b"[]", "application/json"),
}
STATUSES = (404, 403, 400, 405, 410, 200)
NOTHING = ("no such", "has no ", "no service knows", "has deleted", "nothing failed", "no runs")
"""What is said where something is not there."""

POINTERS = ("url", "token", "doctor", "not an image")
"""What is said where the service, the way to it, leave to ask it, or what came is wrong."""


class Elsewhere:
    """A server that says one thing to everything."""

    url = ""
    said = b""

    def says(self, status: int, body: bytes, media_type: str) -> None:
        kind = f"Content-Type: {media_type}\r\n" if media_type else ""
        head = f"HTTP/1.1 {status} X\r\n{kind}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.said = head.encode() + body

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.said)
            await writer.drain()
            writer.close()
            await writer.wait_closed()


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    made = Elsewhere()
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()
    await server.wait_closed()


def table(service: str, url: str, token: str = "t") -> str:
    return f'[services.{service}]\n{KINDS[service]}\nurl = "{url}"\ntoken = "{token}"\n'


def answers_of(read: Read) -> dict[str, tuple[int, bytes, str]]:
    """What is tried."""
    return {
        f"{status} {name}": (status, *body)
        for status in STATUSES
        for name, body in BODIES.items()
        if status != 200 or name not in read.good
    }


def wrong(result: Any, said: str, status: int = 0) -> str:
    """How an answer fails to say that the service could not be asked; empty where it says so. 400 may be blamed on the
    arguments, where no form of it is documented."""
    if not result.is_error:
        return f"is a success: {said[:200]}"
    folded = said.casefold()
    if claims := [word for word in NOTHING if word in folded]:
        return f"claims {claims[0]!r}: {said[:200]}"
    return (
        ""
        if status == 400 or any(word in folded for word in POINTERS)
        else f"does not point to the service: {said[:200]}"
    )


CASES = [(service, read) for service in KINDS for read in READS[service]]


def test_every_kind_of_service_with_a_url_is_held_to_the_table() -> None:
    asked = {kind for kind in known_kinds() if issubclass(load_kind(kind).Settings, HttpServiceSettings)}
    missing = sorted(kind for kind in asked if not any(f'"{kind}"' in table for table in KINDS.values()))
    assert not missing, f"add {', '.join(missing)} to KINDS, and its reads to READS"
    assert KINDS.keys() == READS.keys()


@pytest.mark.parametrize(("service", "read"), CASES, ids=[f"{s}-{r.tool}-{n}" for n, (s, r) in enumerate(CASES)])
async def test_no_foreign_answer_is_read_as_nothing_there(
    service: str, read: Read, elsewhere: Elsewhere, connect: Connect, text_of: Callable[..., str]
) -> None:
    told: dict[str, str] = {}
    async with connect(table(service, elsewhere.url)) as client:
        for name, answer in answers_of(read).items():
            elsewhere.says(*answer)
            result = await client.call_tool(read.tool, read.arguments)
            told[name] = wrong(result, text_of(result), answer[0])
    assert len(told) > 50
    assert {name: fault for name, fault in told.items() if fault} == {}


@pytest.mark.parametrize("service", KINDS)
@pytest.mark.parametrize("address", ["stbtester", "tofupilot", "standcloud", "standcloud/wrong", "stbtester/wrong"])
async def test_another_services_address_is_no_service_without_runs(
    service: str, address: str, sim: SimLab, connect: Connect, text_of: Callable[..., str]
) -> None:
    kind, slash, path = address.partition("/")
    there = sim.services()[kind]
    if not slash and f'"{kind}"' in KINDS[service]:
        path, slash = "wrong", "/"
    told: dict[str, str] = {}
    async with connect(table(service, there["url"] + slash + path, there["token"])) as client:
        for n, read in enumerate(READS[service]):
            result = await client.call_tool(read.tool, read.arguments)
            told[f"{n} {read.tool}"] = wrong(result, text_of(result))
    assert {name: fault for name, fault in told.items() if fault} == {}


@pytest.mark.parametrize("service", KINDS)
async def test_doctor_finds_no_foreign_answer_well(service: str, elsewhere: Elsewhere) -> None:
    well: list[str] = []
    for name, answer in answers_of(Read("doctor", {}, good=LIST)).items():
        elsewhere.says(*answer)
        lab = parse_config(table(service, elsewhere.url)).lab()
        (finding,) = await examine(list(lab.services.values()))
        if not finding.remedy or finding.auth == "ok":
            well.append(f"{name}: {finding}")
    assert well == []


@pytest.mark.parametrize("service", SERVICES.values())
async def test_one_wrong_url_is_that_services_failure_in_what_all_are_asked(
    service: str, sim: SimLab, elsewhere: Elsewhere, connect: Connect, ask: Callable[..., Any]
) -> None:
    (kind,) = (kind for kind, name in SERVICES.items() if name == service)
    config = sim.config_toml().replace(f'url = "{sim.services()[kind]["url"]}"', f'url = "{elsewhere.url}"')
    async with connect(sim.config_toml()) as client:
        other = "cloud" if service == "factory" else "factory"
        runs = (await ask(client, "list_runs", service=other, outcome="fail"))["runs"]
    async with connect(config) as client:
        for name in ("error", "detail", "page", "empty"):
            elsewhere.says(404, *BODIES[name])
            page = await ask(client, "list_runs")
            share = next(share for share in page["services"] if share["service"] == service)
            assert "total" not in share, name
            assert f"[services.{service}] url" in share["error"], name
            assert f"Not in this list: {service}" in page["note"], name
            triage = await ask(client, "triage", since="7d")
            share = next(share for share in triage["services"] if share["service"] == service)
            assert f"[services.{service}] url" in share["error"], name
            assert f"Nothing of {service} is in this" in triage["note"], name
            if service == "portal":
                continue
            told = await ask(client, "explain_failure", run_id=runs[0]["run_id"])
            assert any(f"[services.{service}] url" in part["why"] for part in told["missing"]), name
            unit = await ask(client, "get_unit", serial_number=runs[0]["unit"])
            assert unit["ship"] == "do not ship", name
            assert f"{service} did not answer (see services)." in unit["unknown"], name
