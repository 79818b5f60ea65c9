"""Where it is served, under which names, and what health checks say to whom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from testlab_mcp.commands.main import main
from testlab_mcp.commands.simlab import SimLab
from tests.server_processes import serve_over_http

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk, Serve

PUBLIC = '[http]\npublic_url = "https://lab.example.com/mcp"\nallowed_origins = ["https://chat.example.com"]\n'
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize"} | {
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
}
MODERN = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {}}
ERAS = {"legacy": {}, "2026-07-28": {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "server/discover"}}


@pytest.mark.parametrize("era", list(ERAS))
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 0),
        ({"Host": "lab.example.com"}, 0),
        ({"Host": "lab.example.com:443", "Origin": "https://lab.example.com"}, 0),
        ({"Host": "lab.example.com", "Origin": "https://chat.example.com"}, 0),
        ({"Host": "lab.example.com:8443"}, 421),
        ({"Host": "evil.example.com"}, 421),
        ({"Host": "lab.example.com.evil.example"}, 421),
        ({"Host": "lab.example.com", "Origin": "https://evil.example.com"}, 403),
        ({"Host": "lab.example.com", "Origin": "http://lab.example.com"}, 403),
        ({"Host": "lab.example.com", "Origin": "null"}, 403),
    ],
)
async def test_only_its_names_are_answered(
    headers: dict[str, str], status: int, era: str, sim: SimLab, desk: Desk, serve: Serve
) -> None:
    url = serve(PUBLIC + desk.table_of("alice") + sim.config_toml())
    sent = {"Authorization": f"Bearer {desk.token_of('alice')}", "Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient() as http:
        message = MODERN if ERAS[era] else HELLO
        reply = await http.post(url, json=message, headers={**sent, **ERAS[era], **headers})
    assert reply.status_code == status if status else reply.status_code not in (401, 403, 421)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("", "There is no sign-in in the config"),
        ('[callers.a]\ntoken_sha256 = "' + "0" * 64 + '"\n', "set [http] public_url"),
        (PUBLIC, "There is no sign-in in the config"),
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "[::]", "lab.example.com"])
def test_an_address_that_others_reach_needs_sign_in_and_a_name(
    host: str, extra: str, told: str, sim: SimLab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(extra + sim.config_toml(), encoding="utf-8")
    assert main(["serve", "--config", str(path), "--http", f"{host}:0"]) == 2
    printed = capsys.readouterr().err
    assert "--http serves on this machine only" in printed
    assert told in printed


def test_a_public_name_without_sign_in_is_refused_on_this_machine_too(
    sim: SimLab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(PUBLIC + sim.config_toml(), encoding="utf-8")
    assert main(["serve", "--config", str(path), "--http", "127.0.0.1:0"]) == 2
    assert "nobody would have to sign in" in capsys.readouterr().err


def test_with_sign_in_and_a_name_any_address_is_served_on(sim: SimLab, desk: Desk, tmp_path: Path) -> None:
    """127.0.0.2 is not one of this machine's names to us, and nobody else can reach it."""
    path = tmp_path / "config.toml"
    path.write_text(PUBLIC + desk.table_of("alice") + sim.config_toml(), encoding="utf-8")
    with serve_over_http(path, "127.0.0.2:0") as url:
        sent = {"Authorization": f"Bearer {desk.token_of('alice')}", "Accept": "application/json, text/event-stream"}
        named = httpx2.post(url, json=HELLO, headers={**sent, "Host": "lab.example.com"}, timeout=20)
        unnamed = httpx2.post(url, json=HELLO, headers=sent, timeout=20)
    assert (named.status_code, unnamed.status_code) == (200, 421)


async def test_health_and_readiness_say_little_to_strangers(
    sim: SimLab, desk: Desk, serve: Serve, dead_url: str
) -> None:
    gone = f'[services.gone]\nkind = "tofupilot"\nurl = "{dead_url}"\ntoken = "t"\n'
    theirs = f'[services.own]\nkind = "tofupilot"\nurl = "{dead_url}"\ncredentials = "caller"\n'
    tables = desk.table_of("alice") + desk.table_of("bob", services=["portal"])
    url = serve(tables + sim.config_toml() + gone + theirs)
    place = url.replace("/mcp", "/readyz")
    async with httpx2.AsyncClient() as http:
        assert (await http.get(url.replace("/mcp", "/healthz"))).json() == {"status": "ok"}
        assert (await http.get(place)).json() == {"status": "ready"}
        wrong = await http.get(place, headers={"Authorization": "Bearer wrong"})
        assert wrong.json() == {"status": "ready"}
        bob = await http.get(place, headers={"Authorization": f"Bearer {desk.token_of('bob')}"})
        assert bob.json() == {"status": "ready", "services": {"portal": "ok"}}
        alice = await http.get(place, headers={"Authorization": f"Bearer {desk.token_of('alice')}"})
    states = {"portal": "ok", "factory": "ok", "cloud": "ok", "gone": "down", "own": "with a caller's token"}
    assert alice.json() == {"status": "ready", "services": states}


async def test_when_no_service_answers_it_is_not_ready(desk: Desk, serve: Serve, dead_url: str) -> None:
    url = serve(f'{desk.table_of("alice")}[services.gone]\nkind = "tofupilot"\nurl = "{dead_url}"\ntoken = "t"\n')
    async with httpx2.AsyncClient() as http:
        reply = await http.get(url.replace("/mcp", "/readyz"))
    assert (reply.status_code, reply.json()) == (503, {"status": "not ready"})
