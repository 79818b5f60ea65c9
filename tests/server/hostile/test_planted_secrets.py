"""Planted secrets: in the config, in replies, headers, redirects and errors; none comes out anywhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from testlab_mcp.commands.main import main
from testlab_mcp.commands.serve import policy_of
from testlab_mcp.config.config import Config
from testlab_mcp.config.loading import parse_config
from testlab_mcp.logs import RedactingFormatter
from testlab_mcp.protocol.server import build_server
from testlab_tools.tools import all_tools
from tests.tool_calls import RACK_TABLE

PLANTED = "sEcReT"
"""In every planted secret, and in nothing else."""
UUID = "0196434d-e8f7-7ce1-81f7-e16f20487494"
RUN = "portal:/stb-tester-1/0a23/1/2026-01-01_00.00.00"
WORDS = {
    "run_id": RUN,
    "job_uid": "/stb-tester-1/0a23/1",
    "node_id": "stb-tester-1",
    "node_ids": ["stb-tester-1"],
    "reservation_id": "portal:6",
    "serial_number": "SN-1",
    "service": "factory",
    "test_pack_revision": "main",
    "revision": "main",
    "test_cases": ["a.py::b"],
    "message": "m",
    "key": "KEY_OK",
    "minutes": 5,
    "duration_minutes": 5,
    "procedure_id": UUID,
    "outcome": "pass",
    "save_to": "x.csv",
    "delivery_id": "x",
    "dialog_id": "bench:x",
    "content": '<testsuite timestamp="2026-11-20T08:00:00"><testcase name="a"/></testsuite>',
    "sub_units": ["SN-2"],
}


OWN_TEXT = {"read_log"}
"""It shows what a body holds, whatever that is."""


def planted(name: str) -> str:
    return f"tk-{name}-{PLANTED}"


@pytest.fixture
def config_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Every place a token may stand in, and a database with a password."""
    monkeypatch.setenv("PLANTED_TOKEN", planted("env"))
    file = tmp_path / "token"
    file.write_text(planted("file"), encoding="utf-8")
    file.chmod(0o600)

    def made(url: str, durable: str = "enabled = false") -> str:
        tables = [
            ("portal", "stbtester", 'token_env = "PLANTED_TOKEN"'),
            ("factory", "tofupilot", f"token_file = {json.dumps(str(file))}"),
            ("old", "tofupilot", f'token_command = {json.dumps(f"cat {file}")}\napi_version = "v1"'),
            ("cloud", "standcloud", f'token = "{planted("value")}"'),
        ]
        tables.append(("bench", "hardpy", f'token = "{planted("value")}"\nallow_insecure = true'))
        services = [f'[services.{n}]\nkind = "{k}"\nurl = "{url}"\n{token}' for n, k, token in tables]
        head = (
            f'[server]\naccess = "admin"\ntoolsets = ["all"]\n[durable]\n{durable}\n'
            f'[files]\nsave_to = ["{tmp_path}"]\n[audit]\nfile = "{tmp_path}/audit.jsonl"\nreads = true'
        )
        return "\n".join([head, *services, RACK_TABLE])

    return made


def calls() -> list[tuple[str, dict[str, Any]]]:
    """Every tool with what it requires, and where it takes a run, one of each service."""
    made: list[tuple[str, dict[str, Any]]] = []
    for tool in all_tools():
        taken = tool.handler.__annotations__
        given = {name: word for name, word in WORDS.items() if name in taken}
        if tool.name in ("get_job", "stop_job", "grab_screenshot"):
            given.pop("node_id")
        given = {k: v for k, v in given.items() if k != "service" or "serial_number" in taken}
        given.pop("save_to", None) if tool.name != "export_runs" else None
        made.append((tool.name, given))
        if "run_id" in taken:
            made += [(tool.name, {**given, "run_id": f"{s}:{UUID}"}) for s in ("factory", "cloud")]
            made.append((tool.name, {**given, "run_id": "old:SN-1/1"}))
    return made


SECRET_BODY = {
    "message": f"token {planted('env')} is wrong: see https://store.example/x?signature={PLANTED}",
    "api_key": PLANTED,
    "upload_url": f"https://store.example/x?signature={PLANTED}",
    "download_url": f"https://store.example/x?X-Amz-Signature={PLANTED}",
    "issues": [{"path": [PLANTED], "message": f"no {planted('env')}"}],
}
HEADERS = {
    "Set_Cookie": f"session={PLANTED}",
    "Authorization": f"Bearer {PLANTED}",
    "X_Request_Id": f"Bearer {PLANTED} in place of an id",
    "WWW_Authenticate": f'Bearer realm="{PLANTED}"',
    "Location": f"http://127.0.0.1:9/?token={PLANTED}",
}


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """All that was said so far: to the client, on both streams, and to our loggers at any level."""
    caplog.set_level(logging.DEBUG, "testlab_mcp")
    caplog.set_level(logging.DEBUG, "testlab_tools")
    caplog.handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s %(message)s"))

    def everything(*answers: Any) -> str:
        out = capfd.readouterr()
        return "\n".join([*map(str, answers), out.out, out.err, caplog.text])

    return everything


async def answers(config: Config) -> list[str]:
    found: list[str] = []
    server = build_server(config.lab(), policy_of(config), config.folders(), audit=config.audit_logger())
    async with Client(server) as client:
        for tool, arguments in calls():
            if tool in OWN_TEXT:
                continue
            result = await client.call_tool(tool, arguments)
            found.append(json.dumps(result.model_dump(mode="json")))
    trail = config.audit_file()
    assert trail is not None
    found.append(trail.read_text(encoding="utf-8"))
    assert "delete_unit" in found[-1], "the audit was written"
    return found


@pytest.mark.parametrize("status", [200, 302, 307, 400, 401, 403, 404, 409, 422, 500])
async def test_no_secret_of_config_body_header_or_redirect_is_said(
    status: int,
    config_text: Callable[..., str],
    open_origin: Callable[..., Any],
    said: Callable[..., str],
    no_pauses: None,
) -> None:
    origin = await open_origin()
    origin.answers(status, SECRET_BODY, **HEADERS)
    config = parse_config(config_text(origin.url))
    assert PLANTED not in said(*await answers(config))
    assert all(PLANTED in asked for asked in origin.asked), "the tokens were sent, to the service alone"


async def test_a_redirect_to_another_host_is_not_followed(
    config_text: Callable[..., str], open_origin: Callable[..., Any], no_pauses: None
) -> None:
    origin, other = await open_origin(), await open_origin()
    other.answers(200, {})
    for status in (301, 302, 303, 307, 308):
        origin.answers(status, {}, Location=f"{other.url}/elsewhere")
        await answers(parse_config(config_text(origin.url)))
    assert origin.asked
    assert other.asked == []


async def test_an_unforeseen_exception_says_neither_to_the_client_nor_to_the_log_what_it_holds(
    config_text: Callable[..., str], said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise ValueError(f"token {PLANTED}") from KeyError(PLANTED)

    tools = [replace(tool, handler=broken, asks=None) for tool in all_tools()]
    monkeypatch.setattr("testlab_mcp.protocol.server.all_tools", lambda: tools)
    monkeypatch.setattr("testlab_mcp.protocol.schema.Arguments.validate", lambda self, given: given)
    config = parse_config(config_text("http://127.0.0.1:9"))
    found: list[str] = []
    async with Client(build_server(config.lab(), policy_of(config), config.folders())) as client:
        for tool in tools:
            result = await client.call_tool(tool.name, {})
            assert "went wrong inside this server" in str(result.content)
            found.append(str(result))
    everything = said(*found)
    assert PLANTED not in everything
    assert "in broken" in everything, "where it went wrong is told"


async def test_the_deliveries_database_holds_no_token(
    config_text: Callable[..., str], dead_url: str, tmp_path: Path
) -> None:
    config = parse_config(config_text(dead_url, f'path = "{tmp_path}/deliveries.sqlite"'))
    async with Client(build_server(config.lab(), policy_of(config), config.folders())) as client:
        arguments = {"procedure_id": UUID, "serial_number": "SN-7001", "outcome": "pass", "service": "factory"}
        result = await client.call_tool("create_run", arguments)
        assert result.structured_content is not None
        assert result.structured_content["queued"]
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("deliveries.sqlite*"))
    assert b"factory" in kept
    assert PLANTED.encode() not in kept


def test_no_repr_holds_a_secret(config_text: Callable[..., str]) -> None:
    durable = f'database_url = "postgresql://lab:{PLANTED}@127.0.0.1/lab"'
    config = parse_config(config_text("http://127.0.0.1:9", durable))
    services = list(config.connect_services())
    clients = [vars(service)["client"] for service in services if "client" in vars(service)]
    seen = [config, config.durable, config.services, *services, *clients]
    seen += [part for client in clients for part in vars(client).values()]
    seen += [vars(part) for client in clients for part in vars(client).values() if type(part).__name__ == "Credentials"]
    seen += [settings.model_dump() for _, settings in config.services.values()]
    assert PLANTED not in "".join(repr(part) for part in seen)


@pytest.mark.parametrize("command", ["doctor", "tools"])
def test_no_command_prints_a_secret(
    command: str, config_text: Callable[..., str], tmp_path: Path, dead_url: str, said: Callable[..., str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(config_text(dead_url), encoding="utf-8")
    main([command, "--config", str(path)])
    told = said()
    assert "portal" in told or "list_runs" in told
    assert PLANTED not in told


@pytest.mark.parametrize(
    "wrong",
    [
        f'token = "{PLANTED}"\ntoken_env = "X"',
        f'token = ["{PLANTED}"]',
        f'token = "{PLANTED}"\ntimeout_seconds = -1',
        f'url = "http://lab:{PLANTED}@x"',
        f'url = "http://x/?key={PLANTED}"',
    ],
)
def test_a_wrong_config_is_told_without_what_is_in_it(wrong: str) -> None:
    url = "" if "url" in wrong else 'url = "http://127.0.0.1:9"\n'
    with pytest.raises(Exception, match="services") as told:
        parse_config(f'[services.portal]\nkind = "stbtester"\n{url}{wrong}\n')
    assert PLANTED not in repr(told.value)
