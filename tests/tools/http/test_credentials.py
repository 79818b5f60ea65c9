"""Tokens: from where the config says, in the header the service reads, and never in a message."""

from __future__ import annotations

import asyncio
import shlex
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from testlab_tools.errors import ConfigError
from testlab_tools.http import Credentials, Scheme, Token

SECRET = "tk-5d41402abc4b2a76b9719d911017c592"


def command(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


def header(token: Token, scheme: Scheme = "bearer") -> str:
    (value,) = Credentials("portal", scheme, token).headers.values()
    return value


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ("bearer", {"Authorization": f"Bearer {SECRET}"}),
        ("token", {"Authorization": f"token {SECRET}"}),
        ("x-api-key", {"X-API-KEY": SECRET}),
    ],
)
def test_each_scheme_has_its_header(scheme: Scheme, headers: dict[str, str]) -> None:
    assert Credentials("portal", scheme, Token(SecretStr(SECRET))).headers == headers


def test_a_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", f" {SECRET}\n")

    assert header(Token(env="LAB_TOKEN")) == f"Bearer {SECRET}"


def test_a_token_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(f"{SECRET}\n", encoding="utf-8")

    assert header(Token(file=str(tmp_path / "token"))) == f"Bearer {SECRET}"


def test_a_token_comes_from_a_command() -> None:
    assert header(Token(command=command(f"print({SECRET!r})"))) == f"Bearer {SECRET}"


def test_a_token_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(SECRET, encoding="utf-8")
    credentials = Credentials("portal", "bearer", Token(file=str(path)))

    assert credentials.headers == {"Authorization": f"Bearer {SECRET}"}
    path.unlink()
    assert credentials.headers == {"Authorization": f"Bearer {SECRET}"}


def test_a_token_that_was_missing_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Credentials("portal", "bearer", Token(env="LAB_TOKEN"))
    with pytest.raises(ConfigError):
        _ = credentials.headers

    monkeypatch.setenv("LAB_TOKEN", SECRET)

    assert credentials.headers == {"Authorization": f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (
            Token(),
            r"has no token\. Set token_env, token_file, token_command, token_keyring or token under",
        ),
        (Token(SecretStr(" ")), "its token is empty"),
        (Token(env="NO_SUCH_VARIABLE"), "the environment variable NO_SUCH_VARIABLE is empty or not set"),
        (Token(file="no/such/file"), r"token_file cannot be read \(FileNotFoundError\)"),
        (Token(file="."), "token_file cannot be read"),
        (Token(command="no-such-command --token"), r"token_command failed \(FileNotFoundError\)"),
        (Token(command='unclosed "quote'), r"token_command failed \(ValueError\)"),
        (Token(command=command(f"print({SECRET!r}); exit(3)")), r"token_command failed \(CalledProcessError\)"),
        (Token(command=command("print()")), "its token_command is empty"),
        (Token(SecretStr(f"{SECRET}ü")), "not plain text"),
        (Token(SecretStr(f"{SECRET}\nX-Admin: 1")), "not plain text"),
        (Token(command=command(f"print('Token:'); print({SECRET!r})")), "not plain text"),
    ],
)
def test_a_token_that_cannot_be_had_names_the_setting_and_never_the_token(token: Token, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        header(token)

    assert SECRET not in "".join(traceback.format_exception(error.value)).replace(token.command, "")
    assert SECRET not in str(error.value)


def test_a_command_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testlab_tools.http.credentials._COMMAND_SECONDS", 0.2)

    with pytest.raises(ConfigError, match=r"token_command failed \(TimeoutExpired\)"):
        header(Token(command=command("import time; time.sleep(60)")))


def test_neither_token_nor_credentials_show_the_secret() -> None:
    token = Token(SecretStr(SECRET))
    credentials = Credentials("portal", "bearer", token)
    assert credentials.headers

    assert SECRET not in f"{token!r} {token} {credentials!r} {vars(credentials)!r}"


async def test_a_slow_token_command_holds_nothing_else_up() -> None:
    slow = command(f"import time; time.sleep(0.3); print({SECRET!r})")
    credentials = Credentials("portal", "bearer", Token(command=slow))
    reading = asyncio.create_task(credentials.prepare())
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100
    assert credentials.headers == {"Authorization": f"Bearer {SECRET}"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_token_file_that_others_can_read_or_change_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(SECRET, encoding="utf-8")
    path.chmod(mode)

    with pytest.raises(ConfigError, match=r"token_file is not used\. Other users .*chmod 600"):
        header(Token(file=str(path)))
    path.chmod(0o600)
    assert header(Token(file=str(path))) == f"Bearer {SECRET}"


def test_a_token_comes_from_the_keyring(keyring_of: Callable[..., dict[tuple[str, str], str]]) -> None:
    keyring_of()["https://lab.example/api", "me"] = SECRET

    assert header(Token(keyring="https://lab.example/api/me")) == f"Bearer {SECRET}"


def test_a_keyring_without_the_entry_says_which_setting_named_it(keyring_of: Callable[..., object]) -> None:
    keyring_of()

    with pytest.raises(ConfigError, match="the entry of token_keyring is empty or not set"):
        header(Token(keyring="lab/me"))


def test_a_keyring_that_is_locked_says_so_without_its_words(keyring_of: Callable[..., object]) -> None:
    keyring_of(locked=True)

    with pytest.raises(ConfigError, match=r"token_keyring cannot be read \(KeyringLocked\)\. Unlock") as error:
        header(Token(keyring="lab/me"))
    assert "a word of the keyring" not in str(error.value)


@pytest.mark.parametrize("priority", [0, -1])
def test_where_there_is_no_keyring_the_remedy_is_named(priority: int, keyring_of: Callable[..., object]) -> None:
    keyring_of(priority=priority)

    with pytest.raises(ConfigError, match=r"no keyring to use\. Install testlab-mcp\[keyring\]"):
        header(Token(keyring="lab/me"))
