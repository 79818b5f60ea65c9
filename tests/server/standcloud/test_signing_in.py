"""Signing in to the simulated lab as a person does: `testlab-mcp login`, a page in a browser, a server that runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.main import main
from testlab_mcp.commands.simlab import SimLab
from tests.server_processes import server_command

REMEDY = "Run `testlab-mcp login cloud`."
Ask = Callable[..., Any]
Connect = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of the test's own, and no keyring."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return tmp_path


@pytest.fixture
def config(sim: SimLab, home: Path) -> Path:
    """A config whose StandCloud is signed in to."""
    path = home / "config.toml"
    url = sim.services()["standcloud"]["url"]
    path.write_text(
        f"[durable]\nenabled = false\n[services.cloud]\nkind = 'standcloud'\nurl = '{url}'\nauth = 'login'\n"
        f"[services.portal]\nkind = 'stbtester'\nurl = '{url}'\ntoken = 't'\n",
        encoding="utf-8",
    )
    return path


def signing(command: str, config: Path) -> list[str]:
    return [*server_command(), command, "cloud", "--config", str(config)]


def sign_in(config: Path) -> str:
    """Log in, with a browser that opens whatever page is printed; everything that was printed."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8"}
    with subprocess.Popen(signing("login", config), **pipes) as process:
        guard = threading.Timer(30, process.kill)
        guard.start()
        printed = ""
        while "Waiting" not in printed:
            assert process.stdout
            line = process.stdout.readline()
            assert line, printed
            printed += line
        page = re.search(r"http://\S+", printed)
        assert page
        with httpx2.Client(trust_env=False) as browser:
            assert browser.get(page[0]).status_code == 200
        printed += process.communicate()[0]
        guard.cancel()
    assert process.returncode == 0, printed
    return printed


def kept(home: Path) -> dict[str, Any]:
    (path,) = home.rglob("sign-in/*.json")
    return {"path": path, **json.loads(path.read_text(encoding="utf-8"))}


async def test_a_running_server_answers_once_somebody_has_signed_in(
    config: Path, connect: Connect, ask: Ask, refused: Ask, home: Path
) -> None:
    async with connect(config.read_text(encoding="utf-8")) as client:
        for tool, arguments in (
            ("list_runs", {"service": "cloud"}),
            ("get_run", {"run_id": "cloud:0196434d-e8f7-7ce1-81f7-e16f20487494"}),
            ("get_failed_cases", {"run_id": "cloud:0196434d-e8f7-7ce1-81f7-e16f20487494"}),
        ):
            said = await refused(client, tool, **arguments)
            assert "cloud needs you to sign in" in said
            assert REMEDY in said

        printed = sign_in(config)
        assert re.search(r"It must show the code [0-9A-F]{8}\.", printed)
        assert "Signed in to cloud. The tokens are in " in printed
        found = kept(home)
        assert found["path"].stat().st_mode & 0o777 == 0o600
        assert found["access_token"] not in printed
        assert found["refresh_token"] not in printed

        listed = await ask(client, "list_runs", service="cloud", outcome="fail", limit=3)
        assert [run["outcome"] for run in listed["runs"]] == ["fail"] * 3
        assert found["access_token"] not in json.dumps(listed)


async def test_an_expired_token_is_renewed_with_the_service(
    config: Path, connect: Connect, ask: Ask, refused: Ask, home: Path
) -> None:
    sign_in(config)
    before = kept(home)
    before["path"].write_text(json.dumps({**before, "path": "", "expires_at": 0}), encoding="utf-8")
    async with connect(config.read_text(encoding="utf-8")) as client:
        assert (await ask(client, "list_runs", service="cloud", limit=1))["runs"]
    after = kept(home)
    assert after["access_token"] != before["access_token"]
    assert after["refresh_token"] != before["refresh_token"]

    before["path"].write_text(json.dumps({**before, "path": "", "expires_at": 0}), encoding="utf-8")
    async with connect(config.read_text(encoding="utf-8")) as client:
        said = await refused(client, "list_runs", service="cloud")
    assert "The sign-in to service cloud has ended" in said
    assert REMEDY in said


async def test_a_token_that_the_service_no_longer_takes_is_renewed(
    config: Path, connect: Connect, ask: Ask, home: Path
) -> None:
    sign_in(config)
    before = kept(home)
    before["path"].write_text(json.dumps({**before, "path": "", "access_token": "revoked"}), encoding="utf-8")
    async with connect(config.read_text(encoding="utf-8")) as client:
        assert (await ask(client, "list_runs", service="cloud", limit=1))["runs"]
    assert kept(home)["access_token"] not in ("revoked", before["access_token"])


def test_doctor_says_that_somebody_must_sign_in(
    config: Path, capsys: pytest.CaptureFixture[str], no_backoff: None
) -> None:
    assert main(["doctor", "--config", str(config)]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"cloud +standcloud +not asked +missing", printed)
    assert REMEDY in printed

    sign_in(config)
    main(["doctor", "--config", str(config)])
    assert re.search(r"cloud +standcloud +yes +ok +ok", capsys.readouterr().out)


def test_logout_forgets_the_tokens(config: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sign_in(config)
    assert main(["logout", "cloud", "--config", str(config)]) == 0
    assert list(home.rglob("sign-in/*.json")) == []
    assert "Signed out of cloud." in capsys.readouterr().out
    assert main(["logout", "cloud", "--config", str(config)]) == 0
    assert "You were not signed in to cloud." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("portal", "portal is not signed in to: .* These are: cloud"),
        ("clout", "no service of that name. Did you mean 'cloud'"),
    ],
)
@pytest.mark.parametrize("command", ["login", "logout"])
def test_what_cannot_be_signed_in_to_is_said(
    command: str, service: str, told: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, service, "--config", str(config)]) == 2
    assert re.search(told, capsys.readouterr().err)


def test_a_service_that_is_down_cannot_be_signed_in_to(
    dead_url: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "config.toml"
    path.write_text(f"[services.cloud]\nkind = 'standcloud'\nurl = '{dead_url}'\nauth = 'login'\n", encoding="utf-8")
    assert main(["login", "cloud", "--config", str(path)]) == 2
    assert "Service cloud cannot be reached" in capsys.readouterr().err
    assert list(home.rglob("sign-in/*.json")) == []


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("auth = 'login'\ntoken_env = 'X'", 'auth = "login" and token_env: give one of them'),
        ("token_keyring = 'alone'", "token_keyring"),
        ("token_keyring = 'a/b'\ntoken = 'x'", "token and token_keyring: give one of them"),
    ],
)
def test_a_table_that_says_two_things_is_refused(
    keys: str, told: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "config.toml"
    path.write_text(f"[services.cloud]\nkind = 'standcloud'\nurl = 'http://127.0.0.1:9'\n{keys}\n", encoding="utf-8")
    assert main(["doctor", "--config", str(path)]) == 2
    assert told in capsys.readouterr().err


@pytest.fixture(autouse=True)
def whole_lines() -> Iterator[None]:
    """No terminal of the caller's decides how wide tables are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "COLUMNS", "160")
        yield
