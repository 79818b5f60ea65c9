"""A wrong config is told in one line: where, what, and the nearest right thing."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from testlab_mcp.commands.main import main
from testlab_mcp.config.loading import find_config, load_config, parse_config
from testlab_tools.errors import ConfigError
from testlab_tools.registry import Toolset

PORTAL = '[services.portal]\nkind = "stbtester"\nurl = "http://127.0.0.1:1"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server\n", "is not TOML"),
        ("[sever]\naccess = 'observe'\n", "unknown key 'sever'. Did you mean 'server'?"),
        ("[server]\nacces = 'observe'\n", "[server]: unknown key 'acces'. Did you mean 'access'?"),
        ("[server]\naccess = 'root'\n", "access must be one of: observe, operate, admin"),
        ("[server]\ntoolsets = ''\n", "toolsets must be a valid list"),
        ("[server]\ntoolsets = 'al'\n", "toolsets must be one of: default, all, runs, units, "),
        ("[server]\ntoolsets = ['ruins']\n", "toolsets"),
        ("server = 3\n", "[server] must be a table"),
        ("[services.portal]\nurl = 'http://x'\n", "[services.portal] has no kind"),
        ("[services.portal]\nkind = 'stbtestr'\nurl = 'http://x'\n", "Did you mean 'stbtester'?"),
        ("[services.portal]\nkind = 'stbtester'\n", "url is missing"),
        (PORTAL + "tokn_env = 'X'\n", "unknown key 'tokn_env'. Did you mean 'token_env'?"),
        (PORTAL + "token_env = 'X'\ntoken_file = 'y'\n", "token_env and token_file: give one of them"),
        (PORTAL + "timeout_seconds = 'soon'\n", "timeout_seconds"),
        (PORTAL + "timeout_seconds = 90\n", "timeout_seconds"),
        ("[services.portal]\nkind = 'stbtester'\nurl = 'file:///etc'\n", "http:// or https://"),
        ("[services.portal]\nkind = 'stbtester'\nurl = 'http://u:p@h'\n", "plain URL"),
        (
            "[services.f]\nkind = 'tofupilot'\nurl = 'http://x'\napi_version = 'v3'\n",
            "api_version must be one of: v1, v2",
        ),
        (
            "[services.c]\nkind = 'standcloud'\nurl = 'http://x'\nauth = 'basic'\n",
            "auth must be one of: x-api-key, bearer",
        ),
        ("[services.'a:b']\nkind = 'stbtester'\nurl = 'http://x'\n", "letters, digits"),
    ],
)
def test_a_wrong_config_is_exit_code_2_and_one_line(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    for command in ("serve", "doctor", "tools"):
        assert main([command, "--config", str(path)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert told in printed.err


def test_a_token_in_a_wrong_config_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text(PORTAL + 'token = "s3cret-in-file"\nmax_concurrency = "s3cret-in-file"\n', encoding="utf-8")
    assert main(["serve", "--config", str(path)]) == 2
    assert "s3cret" not in capsys.readouterr().err


def test_the_example_config_is_read_whole() -> None:
    config = load_config(Path(__file__).parents[2] / "config.example.toml")
    assert list(config.services) == ["portal", "factory", "cloud", "reports", "bench"]


def test_the_example_config_names_every_toolset() -> None:
    text = (Path(__file__).parents[2] / "config.example.toml").read_text(encoding="utf-8")
    listed = text.partition("some of: ")[2].partition(";")[0].replace("#", " ").replace(",", " ").split()
    assert set(listed) == set(get_args(Toolset))


def test_every_commented_key_of_the_example_config_is_real() -> None:
    text = (Path(__file__).parents[2] / "config.example.toml").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") if "=" in line or line.startswith("# [") else line for line in text.splitlines()]
    config = parse_config("\n".join(lines))
    assert config.server.deny == ["create_run"]
    assert config.files.save_to == ["~/testlab"]
    assert config.files.read_from == ["~/reports"]
    assert config.http.oauth is not None
    assert config.callers["alice"].nodes == ["portal:stb-*"]


def test_the_environment_names_the_config_when_no_argument_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PORTAL, encoding="utf-8")
    monkeypatch.setenv("TESTLAB_MCP_CONFIG", str(path))
    assert find_config() == path


def test_no_config_anywhere_says_where_one_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config file at .*missing\.toml"):
        find_config(str(tmp_path / "missing.toml"))


def test_a_secret_does_not_show_in_a_configs_repr() -> None:
    config = parse_config(PORTAL + 'token = "s3cret"\n')
    assert "s3cret" not in repr(config) + repr(config.lab().services)


@pytest.mark.parametrize("address", ["8000", "127.0.0.1", "127.0.0.1:http", "0.0.0.0:8000", "127.0.0.1:70000"])
def test_an_address_that_is_not_this_machines_is_refused(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(PORTAL, encoding="utf-8")
    assert main(["serve", "--config", str(path), "--http", address]) == 2
    assert "--http" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["toolsets", "allow", "deny"])
def test_a_single_text_is_as_good_as_a_list_of_it(key: str) -> None:
    word = "all" if key == "toolsets" else "list_runs"
    one, listed = (parse_config(f"[server]\n{key} = {value}\n") for value in (f"'{word}'", f"['{word}']"))
    assert getattr(one.server, key) == getattr(listed.server, key) == [word]


def test_a_single_text_is_a_list_in_every_table() -> None:
    caller = f"[callers.alice]\ntoken_sha256 = '{'a' * 64}'\nnodes = 'portal:rack-*'\nservices = 'portal'\n"
    config = parse_config(f"[files]\nsave_to = '/tmp/x'\n{PORTAL}{caller}")
    assert config.files.save_to == ["/tmp/x"]
    assert config.callers["alice"].nodes == ["portal:rack-*"]
    assert config.callers["alice"].services == ["portal"]
