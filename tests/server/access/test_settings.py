"""The tables about HTTP: wrong ones are told in one line, right ones are what the commands make."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from testlab_mcp.access.callers import digest_token
from testlab_mcp.access.http_security import HttpSecurity
from testlab_mcp.commands.main import main
from testlab_mcp.config.loading import parse_config
from testlab_tools.errors import ConfigError

HASH = "0" * 64
ALICE = f'[callers.alice]\ntoken_sha256 = "{HASH}"\n'
OAUTH = '[http]\npublic_url = "https://lab.example.com/mcp"\n[http.oauth]\nissuer = "https://id.example.com"\n'
OWN = '[services.{name}]\nkind = "stbtester"\nurl = "http://127.0.0.1:1"\ncredentials = "caller"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[htp]\n", "unknown key 'htp'. Did you mean 'http'?"),
        ("[http]\npublic_ur = 'x'\n", "[http]: unknown key 'public_ur'. Did you mean 'public_url'?"),
        ("[http]\npublic_url = 'http://lab.example.com/mcp'\n", "must be an https:// URL"),
        ("[http]\npublic_url = 'https://u:p@lab.example.com'\n", "plain URL"),
        ("[http]\nallowed_origins = ['https://a.example/path']\n", "must be origins"),
        ("[http]\nallowed_origins = ['*']\n", "must be origins"),
        ("[http]\ncalls_per_minute = -1\n", "calls_per_minute"),
        ("[http]\nstate_key_env = 'A'\nstate_key_file = 'b'\n", "give one of them"),
        ("[http.oath]\n", "unknown key 'oath'. Did you mean 'oauth'?"),
        ("[http.oauth]\nissuer = 'https://id.example.com'\n", "no public_url"),
        ("[http.oauth]\nisuer = 'x'\n", "[http.oauth]: unknown key 'isuer'. Did you mean 'issuer'?"),
        ("[http.oauth]\nissuer = 'http://id.example.com'\n", "issuer must be an https:// URL"),
        ("[callers.alice]\n", "has neither token_sha256 nor subject"),
        ("[callers.alice]\ntoken_sha256 = 'tlm_secret'\n", "must be 64 hexadecimal digits"),
        ("[callers.alice]\ntoken = 'tlm_secret'\n", "unknown key 'token'"),
        (ALICE + "acess = 'admin'\n", "[callers.alice]: unknown key 'acess'. Did you mean 'access'?"),
        (ALICE + "access = 'root'\n", "access"),
        (ALICE + "services = ['portl']\n" + OWN.format(name="portal"), "Did you mean 'portal'?"),
        (ALICE + ALICE.replace("alice", "bob"), "[callers.bob] has the token_sha256 of [callers.alice]"),
        (ALICE + ALICE.replace("alice", "Alice").replace("0", "1"), "has the name of [callers.alice]"),
        ("[callers.alice]\nsubject = 's'\n", "no [http.oauth]"),
        (
            OAUTH + "[callers.a]\nsubject = 's'\n[callers.b]\nsubject = 's'\n",
            "[callers.b] has the subject of [callers.a]",
        ),
        ("[callers.'a b']\nsubject = 's'\n", "letters, digits"),
        ("[callers.local]\nsubject = 's'\n", "Take another name"),
        (OWN.format(name="portal") + "token = 's3cret'\n", 'has token and credentials = "caller"'),
        (OWN.format(name="portal").replace('"caller"', '"user"'), "credentials must be one of: config, caller"),
        (OWN.format(name="a_b") + OWN.format(name="A-b"), "would come in one header"),
    ],
)
def test_a_wrong_table_is_exit_code_2_and_one_line(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    assert main(["serve", "--config", str(path)]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert told in printed
    assert "s3cret" not in printed


@pytest.mark.parametrize("key", ["allow", "deny"])
def test_a_mistyped_tool_of_a_caller_is_told_before_anything_is_served(key: str) -> None:
    with pytest.raises(
        ConfigError, match=r"\[callers.alice\]: there is no tool 'delete_runs'. Did you mean 'delete_run'"
    ):
        HttpSecurity.from_config(parse_config(f'{ALICE}{key} = ["delete_runs"]\n'))


def test_a_new_token_is_shown_once_and_its_config_holds_the_hash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "new", "alice", "--access", "operate"]) == 0
    printed = capsys.readouterr()
    token, _, rest = printed.out.partition("\n")
    assert re.fullmatch(r"tlm_[\w-]{43}", token)
    assert token not in rest + printed.err
    table = tomllib.loads(rest)["callers"]["alice"]
    assert table == {"token_sha256": digest_token(token), "access": "operate"}
    assert main(["token", "new", "alice"]) == 0
    assert capsys.readouterr().out.partition("\n")[0] != token


def test_a_name_that_a_config_could_not_hold_gets_no_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "new", "a b"]) == 2
    assert "tlm_" not in "".join(capsys.readouterr())


def test_a_callers_hash_does_not_show_in_a_configs_repr() -> None:
    assert HASH not in repr(parse_config(ALICE))


@pytest.mark.parametrize(
    ("keys", "told"),
    [("", "holds no key"), ("too-short", "fewer than 32"), (f"{'k' * 32},short", "fewer than 32")],
)
def test_keys_that_replicas_cannot_share_are_told(keys: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", keys)
    with pytest.raises(ConfigError, match=told) as error:
        HttpSecurity.from_config(parse_config('[http]\nstate_key_env = "LAB_STATE"\n'))
    assert "too-short" not in str(error.value)


def test_a_missing_file_of_keys_is_told() -> None:
    with pytest.raises(ConfigError, match="state_key_file cannot be read"):
        HttpSecurity.from_config(parse_config('[http]\nstate_key_file = "/nowhere/keys"\n'))
